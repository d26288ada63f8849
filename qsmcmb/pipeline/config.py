"""Configuration: a method and its options for each stage, from TOML, checked against the signatures."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.core.methods import bound_options, call_method, option_names, resolve
from qsmcmb.dipole_inversion import STARTS_FROM
from qsmcmb.errors import ConfigError
from qsmcmb.io.input_options import InputOptions, make_input_options
from qsmcmb.io.reading import read_regular
from qsmcmb.stages import SCAN_STAGES

__all__ = ["STAGES", "SUPPLIED", "Config", "StageConfig", "Table", "make_config", "parse_set", "read_config"]


class Table(NamedTuple):
    """Methods of a stage, and the one that runs where the configuration names none.

    Parameters
    ----------
    methods : mapping
        ``module:function`` by method.
    default : str
        Key of a method.

    Examples
    --------
    >>> STAGES["mask"].default in STAGES["mask"].methods
    True
    """

    methods: Mapping[str, str]
    default: str


STAGES: dict[str, Table] = {s.name: Table(s.methods, s.default) for s in SCAN_STAGES if s.methods}
"""The stages that have a table in the configuration."""
SUPPLIED = (
    "magnitude",
    "echo_magnitude",
    "te_s",
    "b0_tesla",
    "magnitude_is_shared",
    "converter",
    "field_sd_hz",
    "field_sd_ppm",
    "weights_field_ppm",
    "radians_per_ppm",
    "detection_limit",
    "fits",
    "sources",
    "cerebellum_depths",
)
"""Arguments that the pipeline gives; not options."""


@dataclass(frozen=True)
class StageConfig:
    """Method of one stage and the options that the user set.

    Parameters
    ----------
    method : str
        Key of the method.
    options : dict, optional
        Value by option.

    Examples
    --------
    >>> StageConfig("tkd", {"threshold": 0.2}).options["threshold"]
    0.2
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """Methods and options of all stages.

    Parameters
    ----------
    stages : dict
        Method and options by stage, one entry for each of `STAGES`.
    input : InputOptions, optional
        What the user states about the stored phase: the table `[input]`.

    Examples
    --------
    >>> make_config()["invert"].method
    'huber'
    """

    stages: dict[str, StageConfig]
    input: InputOptions = field(default_factory=InputOptions)

    def __getitem__(self, stage: str) -> StageConfig:
        return self.stages[stage]

    def bound(self, stage: str) -> dict[str, Any]:
        """Return method and options of a stage, defaults written out.

        Parameters
        ----------
        stage : str
            Key of `STAGES`.

        Returns
        -------
        dict
            ``"method"``, then the value by option.

        Examples
        --------
        >>> make_config({"r2star": {"method": "arlo"}}).bound("r2star")
        {'method': 'arlo'}
        """
        chosen = self.stages[stage]
        options = bound_options(STAGES[stage].methods, chosen.method, chosen.options, SUPPLIED)
        return {"method": chosen.method, **options}

    def replaced(self, stage: str) -> str:
        """Return why a stage does not run.

        Parameters
        ----------
        stage : str
            Name of a stage.

        Returns
        -------
        str
            Empty where it runs.

        Examples
        --------
        >>> make_config({"invert": {"method": "tfi"}}).replaced("background")
        'tfi starts from the total field'
        """
        start = STARTS_FROM.get(self.stages["invert"].method, "")
        if stage != "background" or not start:
            return ""
        return f"{self.stages['invert'].method} starts from the {start}"

    def record(self, stage: str) -> dict[str, Any]:
        """Return the provenance of a stage.

        Parameters
        ----------
        stage : str
            Key of `STAGES`.

        Returns
        -------
        dict
            Method and options, or ``"none"`` and the reason why it did not run.

        Examples
        --------
        >>> make_config({"invert": {"method": "tfi"}}).record("background")["method"]
        'none'
        """
        reason = self.replaced(stage)
        return {"method": "none", "reason": reason} if reason else self.bound(stage)

    def scan_stages(self, *, detect: bool) -> tuple[str, ...]:
        """Return the stages of a scan that goes through the whole pipeline.

        Parameters
        ----------
        detect : bool
            Whether the detector runs.

        Returns
        -------
        tuple of str
            Names in the order in which they are reported.

        Examples
        --------
        >>> make_config({"invert": {"method": "tfi"}}).scan_stages(detect=False)[3:6]
        ('fieldmap', 'invert', 'r2star')
        """
        names = [s.name for s in SCAN_STAGES if not self.replaced(s.name)]
        return tuple(n for n in names if detect or n != "detect")

    def to_toml(self) -> str:
        """Return the whole configuration as TOML, defaults written out.

        Returns
        -------
        str
            A table for each of `STAGES`; options that have no value are left out.

        Examples
        --------
        >>> make_config().to_toml().startswith('[prepare]\\nmethod = "checks"')
        True
        """
        stated = self.input.record()
        lines = ["[input]", *[f"{k} = {_toml(v)}" for k, v in stated.items()], ""] if stated else []
        for stage in STAGES:
            lines.append(f"[{stage}]")
            lines += [f"{k} = {_toml(v)}" for k, v in self.bound(stage).items() if v is not None]
            lines.append("")
        return "\n".join(lines)


def make_config(tables: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """Return a configuration from tables as in the TOML file.

    Parameters
    ----------
    tables : mapping of mapping, optional
        ``{"background": {"method": "pdf", "tolerance": 0.01}}``.

    Returns
    -------
    Config
        Methods and options of all stages.

    Raises
    ------
    ConfigError
        Unknown stage, method or option; the message lists the known ones.

    Examples
    --------
    >>> make_config({"background": {"method": "pdf"}})["background"].method
    'pdf'
    """
    tables = dict(tables or {})
    stated = make_input_options(tables.pop("input", {}))
    unknown = set(tables) - set(STAGES)
    if unknown:
        raise ConfigError(f"unknown table [{sorted(unknown)[0]}]; the tables are: input, {', '.join(STAGES)}")
    stages = {}
    for stage, (methods, default) in STAGES.items():
        options = dict(tables.get(stage, {}))
        method = str(options.pop("method", default))
        allowed = option_names(resolve(methods, method), dict.fromkeys(SUPPLIED))
        for name in options:
            if name not in allowed:
                raise ConfigError(
                    f"[{stage}] method {method!r} has no option {name!r}; "
                    f"its options are: {', '.join(allowed) or 'none'}"
                )
        stages[stage] = StageConfig(method, options)
    # Faulty protocols show before the scan is computed, not after.
    burden = stages["burden"]
    call_method(STAGES["burden"].methods, burden.method, burden.options, (), context={})
    return Config(stages, stated)


def read_config(path: Path | None) -> Config:
    """Read a TOML file.

    Parameters
    ----------
    path : path or None
        File with a table for each stage; None gives the defaults.

    Returns
    -------
    Config
        Methods and options of all stages.

    Raises
    ------
    ConfigError
        The file cannot be read or is not TOML; unknown stage, method or option.

    Examples
    --------
    >>> read_config(None)["background"].method
    'slbv'
    """
    if path is None:
        return make_config()
    try:
        return make_config(tomllib.loads(read_regular(path).decode("utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}; expected TOML") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a readable TOML file") from error


def parse_set(values: list[str] | None) -> dict[str, Any]:
    """Return options from NAME=VALUE arguments.

    Parameters
    ----------
    values : list of str or None
        Arguments; a value is read as TOML, and as a string where it is none.

    Returns
    -------
    dict
        Value by option.

    Raises
    ------
    ConfigError
        An argument without name or without ``=``.

    Examples
    --------
    >>> parse_set(["tolerance=0.01", "solver=fft"])
    {'tolerance': 0.01, 'solver': 'fft'}
    """
    options: dict[str, Any] = {}
    for value in values or []:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {value!r}; expected NAME=VALUE")
        try:
            options[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            options[name] = text
    return options


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
