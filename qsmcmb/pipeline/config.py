"""Configuration: a method and its options for each stage, from TOML, checked against the signatures."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmcmb.background_removal import METHODS as BACKGROUND
from qsmcmb.core.methods import bound_options, option_names, resolve
from qsmcmb.dipole_inversion import METHODS as INVERSION
from qsmcmb.dipole_inversion import STARTS_FROM
from qsmcmb.errors import ConfigError
from qsmcmb.field_mapping import METHODS as FIELD
from qsmcmb.field_mapping import PREPARATION
from qsmcmb.masking import METHODS as MASKING
from qsmcmb.relaxometry import METHODS as RELAXOMETRY
from qsmcmb.unwrapping import METHODS as UNWRAPPING

STAGES: dict[str, tuple[dict[str, str], str]] = {
    "prepare": (PREPARATION, "checks"),
    "mask": (MASKING, "combined"),
    "unwrap": (UNWRAPPING, "romeo"),
    "fieldmap": (FIELD, "nonlinear"),
    "background": (BACKGROUND, "slbv"),
    "invert": (INVERSION, "nltv"),
    "r2star": (RELAXOMETRY, "weighted"),
}
SUPPLIED = (
    "magnitude",
    "echo_magnitude",
    "te_s",
    "b0_tesla",
    "field_sd_hz",
    "field_sd_ppm",
    "radians_per_ppm",
)
"""Arguments that the pipeline gives; not options."""


@dataclass(frozen=True)
class StageConfig:
    """Method of one stage and the options that the user set."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """Methods and options of all stages."""

    stages: dict[str, StageConfig]

    def __getitem__(self, stage: str) -> StageConfig:
        return self.stages[stage]

    def bound(self, stage: str) -> dict[str, Any]:
        """Return method and options of a stage, defaults written out."""
        chosen = self.stages[stage]
        options = bound_options(STAGES[stage][0], chosen.method, chosen.options, SUPPLIED)
        return {"method": chosen.method, **options}

    def replaced(self, stage: str) -> str:
        """Return why a stage does not run, or nothing where it does."""
        start = STARTS_FROM.get(self.stages["invert"].method, "")
        if stage != "background" or not start:
            return ""
        return f"{self.stages['invert'].method} starts from the {start}"

    def record(self, stage: str) -> dict[str, Any]:
        """Return what the provenance says of a stage: method and options, or why it did not run."""
        reason = self.replaced(stage)
        return {"method": "none", "reason": reason} if reason else self.bound(stage)

    def to_toml(self) -> str:
        """Return the whole configuration as TOML, defaults written out."""
        lines = []
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
    unknown = set(tables) - set(STAGES)
    if unknown:
        raise ConfigError(f"unknown table [{sorted(unknown)[0]}]; the tables are: {', '.join(STAGES)}")
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
    return Config(stages)


def read_config(path: Path | None) -> Config:
    """Read a TOML file; None gives the defaults."""
    if path is None:
        return make_config()
    try:
        with path.open("rb") as stream:
            return make_config(tomllib.load(stream))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}; expected TOML") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a readable TOML file") from error


def parse_set(values: list[str] | None) -> dict[str, Any]:
    """Return options from NAME=VALUE arguments; values are read as TOML."""
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
    return f'"{value}"' if isinstance(value, str) else repr(value)
