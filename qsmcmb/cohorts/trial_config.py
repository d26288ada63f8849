"""Assumptions of a simulated trial: read from TOML, every key with its default."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from qsmcmb.errors import ConfigError
from qsmcmb.io.reading import read_regular

__all__ = ("TrialConfig", "read_trial_config")


@dataclass(frozen=True)
class TrialConfig:
    """Assumptions of a trial of two arms with a scan at its start and one at its end.

    Parameters
    ----------
    prevalence : float
        Proportion of subjects with a microbleed at the start.
    mean_count : float
        Mean count of those that have any.
    incidence_per_year : float
        New microbleeds per person-year in the control arm, the mean over subjects.
    incidence_variance : float
        Variance of the subjects' own incidence over its squared mean (gamma); 0 for the same in all.
    growth_per_year : float
        Relative growth of a microbleed's total susceptibility per year in the control arm.
    growth_sd : float
        SD over lesions of the logarithm of the growth over the whole trial.
    total_median_ppm_mm3, total_sigma_ln : float
        Lognormal distribution of total susceptibilities.
    irregular : float
        Proportion of microbleeds of irregular shape.
    drop_out : float
        Proportion of subjects without the second scan.
    scanners : dict
        Protocol of the table of measured errors to its proportion of the subjects.
    scanner_change : float
        Proportion of subjects whose second scan has a protocol drawn anew.
    years : float
        Time between the scans.
    effect_incidence, effect_growth : float
        Proportion by which treatment lowers incidence and growth.
    errors : {"measured", "none"}
        Whether the measurement errs as validation has measured, or not at all.
    alpha : float
        Level of the tests.
    sides : {1, 2}
        One- or two-sided tests.
    power : float
        Power that is asked for.
    max_subjects : int
        Largest number of subjects in each arm that is tried.
    repeats : int
        Simulated trials for each number of subjects.
    pool : int
        Simulated subjects of each arm, from which trials draw.
    seed : int
        Seed of all randomness.

    Examples
    --------
    >>> TrialConfig().power
    0.8
    """

    prevalence: float = 0.6
    mean_count: float = 4.0
    incidence_per_year: float = 0.4
    incidence_variance: float = 1.0
    growth_per_year: float = 0.05
    growth_sd: float = 0.1
    total_median_ppm_mm3: float = 2.0
    total_sigma_ln: float = 1.08
    irregular: float = 0.4
    drop_out: float = 0.1
    scanners: dict[str, float] = field(default_factory=lambda: {"3 T": 1.0})
    scanner_change: float = 0.0
    years: float = 1.5
    effect_incidence: float = 0.5
    effect_growth: float = 0.5
    errors: str = "measured"
    alpha: float = 0.05
    sides: int = 2
    power: float = 0.8
    max_subjects: int = 2000
    repeats: int = 1000
    pool: int = 40000
    seed: int = 1

    def __post_init__(self) -> None:
        fractions = (
            "prevalence", "irregular", "drop_out", "scanner_change", "effect_incidence", "effect_growth", "alpha",
            "power",
        )  # fmt: skip
        for name in fractions:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}; expected 0 to 1")
        for name in ("years", "total_median_ppm_mm3", "max_subjects", "repeats", "pool", "mean_count"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} = {getattr(self, name)}; expected above 0")
        if self.drop_out == 1 or not 0 < self.alpha < 1 or not self.alpha < self.power < 1:
            raise ConfigError("drop_out, alpha, power; expected below 1, alpha above 0 and below power")
        if self.errors not in ("measured", "none") or self.sides not in (1, 2):
            raise ConfigError('errors, sides; expected errors = "measured" or "none", sides = 1 or 2')
        if not self.scanners or min(self.scanners.values()) < 0 or sum(self.scanners.values()) <= 0:
            raise ConfigError("scanners; expected protocols with their proportions, 0 or more")


def read_trial_config(path: Path) -> TrialConfig:
    """Read the assumptions of a trial.

    Parameters
    ----------
    path : Path
        TOML file with keys of `TrialConfig`; the others have their defaults.

    Returns
    -------
    TrialConfig
        Assumptions.

    Raises
    ------
    ConfigError
        An unknown key, or a value out of range.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "trial.toml").write_text("years = 2.0")
    ...     read_trial_config(Path(folder) / "trial.toml").years
    2.0
    """
    try:
        values = tomllib.loads(read_regular(path).decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    defaults = {f.name: getattr(TrialConfig(), f.name) for f in dataclasses.fields(TrialConfig)}
    for key, value in values.items():
        if key not in defaults:
            raise ConfigError(f"{path}: {key}; expected one of: {', '.join(defaults)}")
        wanted = type(defaults[key])
        fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        if not fits or isinstance(value, bool):
            raise ConfigError(f"{path}: {key} = {value!r}; expected {wanted.__name__}")
    return TrialConfig(**values)
