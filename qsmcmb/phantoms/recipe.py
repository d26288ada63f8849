"""Recipes: what a phantom holds and how it is scanned, from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from qsmcmb.errors import ConfigError

KINDS = ("head", "spheres")


DISTRIBUTIONS = ("lognormal", "log-uniform", "series", "given")
FILTERS = ("none", "hamming", "tukey")
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class LesionRecipe:
    """How many lesions of each kind, how strong (ppm mm3), of which shape, how far apart (mm).

    `distribution` is ``lognormal`` (median, sigma), ``log-uniform`` over the range, ``series`` (equal ratios from the
    range's lower to its upper end, in turn) or ``given`` (each lesion written out in `given`).
    """

    microbleeds: int = 0
    calcifications: int = 0
    median_ppm_mm3: float = 2.0
    sigma_ln: float = 1.08
    range_ppm_mm3: tuple[float, float] = (1.0, 60.0)
    distribution: str = "lognormal"
    dchi_ppm: tuple[float, float] = (0.6, 3.0)
    two_balls: float = 0.25
    """Part of the lesions that are two touching balls."""
    ellipsoids: float = 0.0
    """Part of the lesions that are prolate ellipsoids, 1.3 to 2 times as long as wide."""
    iron: int = 0
    """Mimics: iron deposits that keep their signal."""
    air: int = 0
    """Mimics: bubbles."""
    flow_voids: int = 0
    """Mimics: dark without a field."""
    apart_mm: float = 15.0
    jitter_mm: float = 0.0
    """Places are moved at random by up to this along each axis."""
    given: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Protocol:
    """One session: how the phantom lies and how it is scanned.

    Parameters
    ----------
    label : str
        BIDS session label.
    b0_tesla, te_s
        Field strength (T), echo times (s).
    snr : float
        Of unit signal at TE 0: in a voxel; in 1 mm3 of acquired voxel where `snr_per_mm3` is true.
    rotation_deg, shift_mm
        The head's pose.
    tilt_deg, tilt_y_deg : float
        Turn of the slab about x, then y.
    voxel_mm : tuple of float
        Reconstructed voxel; empty for the recipe's.
    acquired : tuple of float
        Acquired over reconstructed matrix along each axis: below 1 the image is zero-filled.
    partial_fourier : tuple of float
        Acquired part of k-space along each axis, 0.5 to 1.
    window : {"none", "hamming", "tukey"}
        Filter over the acquired k-space.
    two_d : bool
        Slices with a profile along the third axis in place of a k-space crop.
    slice_gap : float
        Gap between slices over their distance.
    """

    label: str
    b0_tesla: float
    te_s: tuple[float, ...]
    snr: float
    rotation_deg: Triple = (0.0, 0.0, 0.0)
    shift_mm: Triple = (0.0, 0.0, 0.0)
    tilt_deg: float = 0.0
    tilt_y_deg: float = 0.0
    voxel_mm: tuple[float, ...] = ()
    acquired: Triple = (1.0, 1.0, 1.0)
    partial_fourier: Triple = (1.0, 1.0, 1.0)
    window: str = "none"
    two_d: bool = False
    slice_gap: float = 0.0
    snr_per_mm3: bool = False


@dataclass(frozen=True)
class Tube:
    """A long cylinder of liquid in water: a point on its axis (mm), direction, radius (mm), ppm, signal, R2* (1/s)."""

    centre_mm: Triple
    direction: Triple
    radius_mm: float
    chi_ppm: float
    signal: float = 1.0
    r2star_hz: float = 10.0


@dataclass(frozen=True)
class Recipe:
    """A phantom: its anatomy by seed, voxel size and field of view (mm), lesions and sessions."""

    name: str
    title: str
    kind: str
    seed: int
    subject: str
    voxel_mm: float
    fov_mm: tuple[float, float, float]
    lesions: LesionRecipe
    sessions: tuple[Protocol, ...]
    tubes: tuple[Tube, ...] = ()
    """Cylinders in the water; of kind ``spheres`` alone."""
    size: float = 1.0
    """Size of the head over that of the template: small heads take less time and are no easier."""
    texture_ppm: float = 0.0
    """SD of the tissue's random texture."""
    checksum: str = ""
    """sha256 of the truth tables; empty where not fixed yet."""


def data_folder() -> Path:
    """Return the folder of the recipes: in the installed package, or beside it in a checkout."""
    packaged = Path(str(resources.files("qsmcmb"))) / "_data" / "phantoms"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "data" / "phantoms"


def list_recipes() -> dict[str, str]:
    """Return name -> title of the recipes that come with the package."""
    found = {}
    for path in sorted(data_folder().glob("*.toml")):
        with path.open("rb") as stream:
            found[path.stem] = str(tomllib.load(stream)["title"])
    return found


def read_recipe(name: str) -> Recipe:
    """Read a recipe by the name of one that comes with the package, or by path.

    Raises
    ------
    ConfigError
        Unknown recipe (the known ones are listed), key or kind.

    Examples
    --------
    >>> read_recipe("demo").sessions[1].b0_tesla
    3.0
    """
    path = Path(name) if name.endswith(".toml") else data_folder() / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(f"no recipe {name!r}; expected a .toml file or one of: {', '.join(list_recipes())}")
    try:
        with path.open("rb") as stream:
            return _build(path.stem, tomllib.load(stream))
    except (tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: {error}; expected a phantom recipe such as demo.toml") from error


def _build(name: str, tables: dict[str, Any]) -> Recipe:
    lesions = LesionRecipe(**_tuples(tables.pop("lesions", {})))
    sessions = tuple(Protocol(**_tuples(s)) for s in tables.pop("sessions"))
    tubes = tuple(Tube(**_tuples(t)) for t in tables.pop("tubes", []))
    recipe = Recipe(name=name, lesions=lesions, sessions=sessions, tubes=tubes, **_tuples(tables))
    _check_word(name, "kind", recipe.kind, KINDS)
    _check_word(name, "lesions.distribution", lesions.distribution, DISTRIBUTIONS)
    for session in sessions:
        _check_word(name, "sessions.window", session.window, FILTERS)
    return recipe


def _check_word(recipe: str, field: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        raise ConfigError(f"{recipe}: {field} = {found!r}; expected one of: {', '.join(known)}")


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
