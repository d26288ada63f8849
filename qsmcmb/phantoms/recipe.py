"""Recipes: what a phantom holds and how it is scanned, from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from qsmcmb.errors import ConfigError

KINDS = ("head", "spheres")


@dataclass(frozen=True)
class LesionRecipe:
    """How many lesions, and from which lognormal distribution of total susceptibility (ppm mm3)."""

    microbleeds: int
    calcifications: int
    median_ppm_mm3: float
    sigma_ln: float
    range_ppm_mm3: tuple[float, float]


@dataclass(frozen=True)
class Protocol:
    """One session: field strength (T), echo times (s), head pose (degrees, mm), tilt of the slab (degrees), SNR."""

    label: str
    b0_tesla: float
    te_s: tuple[float, ...]
    snr: float
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tilt_deg: float = 0.0


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
    lesions = LesionRecipe(**_tuples(tables.pop("lesions")))
    sessions = tuple(Protocol(**_tuples(s)) for s in tables.pop("sessions"))
    recipe = Recipe(name=name, lesions=lesions, sessions=sessions, **_tuples(tables))
    if recipe.kind not in KINDS:
        raise ConfigError(f"{name}: kind = {recipe.kind!r}; expected one of: {', '.join(KINDS)}")
    return recipe


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
