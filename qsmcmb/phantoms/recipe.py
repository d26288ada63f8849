"""Recipes: what a phantom holds and how it is scanned, from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from qsmcmb.errors import ConfigError
from qsmcmb.phantoms.siderosis import NO_SIDEROSIS, SiderosisRecipe
from qsmcmb.typing import Triple

__all__ = (
    "GivenLesion",
    "LesionRecipe",
    "Protocol",
    "Recipe",
    "Tube",
    "data_folder",
    "list_recipes",
    "read_recipe",
)

KINDS = ("head", "spheres")
"""Kinds of phantoms."""
DISTRIBUTIONS = ("lognormal", "log-uniform", "series", "given")
"""Ways to draw total susceptibilities."""
IRREGULAR_SHAPES = ("cluster", "tube", "shell", "slit", "diffuse", "unequal", "mixed")
"""Irregular shapes of microbleeds: `qsmcmb.phantoms.irregular` says what each is."""
TISSUES = ("structured", "uniform")
"""Tissue of heads: it varies from point to point and its cortex is folded, or each tissue has one value."""
FILTERS = ("none", "hamming", "tukey")
"""Filters over the acquired k-space."""


class GivenLesion(TypedDict):
    """A lesion that a recipe writes out.

    Attributes
    ----------
    centre_mm : tuple of float
        Centre, head mm.
    radius_mm : float
        Radius, mm.
    dchi_ppm : float
        Susceptibility against its surroundings, ppm.
    apart_mm : float
        Distance of the centres of two balls, mm; one ball without it.
    axis : tuple of float
        Direction from one ball to the other, a unit vector.
    kind : str
        Kind; by default a microbleed or, of negative contrast, a calcification.
    signal : float
        Ratio of the signal inside to that of the tissue, at TE 0.
    decay_hz : float
        R2* inside above the tissue's, 1/s.

    Examples
    --------
    >>> GivenLesion(centre_mm=(0.0, 0.0, 0.0), radius_mm=1.0, dchi_ppm=2.0)["radius_mm"]
    1.0
    """

    centre_mm: Triple
    radius_mm: float
    dchi_ppm: float
    apart_mm: NotRequired[float]
    axis: NotRequired[Triple]
    kind: NotRequired[str]
    signal: NotRequired[float]
    decay_hz: NotRequired[float]


@dataclass(frozen=True)
class LesionRecipe:
    """The lesions of a phantom: how many of each kind, how strong, of which shape, how far apart.

    Parameters
    ----------
    microbleeds : int, optional
        Number of microbleeds.
    calcifications : int, optional
        Number of calcifications.
    median_ppm_mm3 : float, optional
        Median of the lognormal distribution, ppm mm3; with `sigma_ln` it fits the diameters of 957 labelled
        microbleeds.
    sigma_ln : float, optional
        SD of the logarithm.
    range_ppm_mm3 : tuple of float, optional
        Least and largest total susceptibility in absolute value, ppm mm3.
    distribution : {"lognormal", "log-uniform", "series", "given"}, optional
        Lognormal by median and SD; log-uniform over the range; equal ratios from the range's lower to its upper end, in
        turn; or each lesion written out in `given`.
    dchi_ppm : tuple of float, optional
        Range of the contrast in absolute value, ppm, log-uniform.
    two_balls : float, optional
        Fraction of the lesions that are two touching balls.
    ellipsoids : float, optional
        Fraction of the lesions that are prolate ellipsoids, 1.3 to 2 times as long as wide.
    irregular : float, optional
        Fraction of the microbleeds that have an irregular shape, 0 to 1; the others, and where all lie and how strong
        they are, do not depend on it.
    irregular_shapes : tuple of str, optional
        Irregular shapes, each as often as the others; all by default.
    iron : int, optional
        Number of nuclei with an iron deposit on each side, as mimics; of single deposits where there are no nuclei.
    air : int, optional
        Number of mimics that are bubbles.
    flow_voids : int, optional
        Number of mimics that are dark without a field.
    apart_mm : float, optional
        Least distance of two lesions, mm.
    jitter_mm : float, optional
        Positions are moved at random by up to this along each axis, mm.
    given : tuple of GivenLesion, optional
        Lesions written out.

    Examples
    --------
    >>> LesionRecipe(microbleeds=3).median_ppm_mm3
    2.0
    """

    microbleeds: int = 0
    calcifications: int = 0
    median_ppm_mm3: float = 2.0
    sigma_ln: float = 1.08
    range_ppm_mm3: tuple[float, float] = (1.0, 60.0)
    distribution: str = "lognormal"
    dchi_ppm: tuple[float, float] = (0.6, 3.0)
    two_balls: float = 0.25
    ellipsoids: float = 0.0
    irregular: float = 0.0
    irregular_shapes: tuple[str, ...] = IRREGULAR_SHAPES
    iron: int = 0
    air: int = 0
    flow_voids: int = 0
    apart_mm: float = 15.0
    jitter_mm: float = 0.0
    given: tuple[GivenLesion, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """One session of a phantom: how it lies and how it is scanned.

    Parameters
    ----------
    label : str
        BIDS session label.
    b0_tesla : float
        Field strength, T, > 0.
    te_s : tuple of float
        Echo times, s, ascending.
    snr : float
        SNR of unit signal at TE 0: in a voxel; in 1 mm3 of acquired voxel where `snr_per_mm3` is true.
    rotation_deg : tuple of float, optional
        Turn of the head about x, y and z, degrees.
    shift_mm : tuple of float, optional
        Shift of the head, mm.
    tilt_deg : float, optional
        Turn of the slab about x, degrees.
    tilt_y_deg : float, optional
        Turn of the slab about y, after that, degrees.
    voxel_mm : tuple of float, optional
        Edges of the reconstructed voxel, mm; empty for the recipe's.
    acquired : tuple of float, optional
        Ratio of acquired to reconstructed matrix along each axis: below 1 the image is zero-filled.
    partial_fourier : tuple of float, optional
        Acquired fraction of k-space along each axis, 0.5 to 1.
    window : {"none", "hamming", "tukey"}, optional
        Filter over the acquired k-space.
    two_d : bool, optional
        Slices with a profile along the third axis; by default k-space is cropped there, too.
    slice_gap : float, optional
        Ratio of the gap between slices to their distance, 0 to 1.
    snr_per_mm3 : bool, optional
        Whether `snr` is for 1 mm3 of acquired voxel.

    Examples
    --------
    >>> Protocol(label="3T", b0_tesla=3.0, te_s=(0.005, 0.02), snr=100.0).window
    'none'
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
    """A long cylinder of liquid in water.

    Parameters
    ----------
    centre_mm : tuple of float
        A point on its axis, mm.
    direction : tuple of float
        Direction of its axis, of any length but 0.
    radius_mm : float
        Radius, mm, > 0.
    chi_ppm : float
        Susceptibility against water, ppm.
    signal : float, optional
        Ratio of the signal to that of water, at TE 0.
    r2star_hz : float, optional
        R2* inside, 1/s.

    Examples
    --------
    >>> Tube(centre_mm=(0.0, 0.0, 0.0), direction=(1.0, 0.0, 0.0), radius_mm=2.0, chi_ppm=0.5).signal
    1.0
    """

    centre_mm: Triple
    direction: Triple
    radius_mm: float
    chi_ppm: float
    signal: float = 1.0
    r2star_hz: float = 10.0


@dataclass(frozen=True)
class Recipe:
    """A phantom: its anatomy by seed, voxel size and field of view, lesions and sessions.

    Parameters
    ----------
    name : str
        Name of the recipe's file.
    title : str
        One line.
    kind : {"head", "spheres"}
        A warped head, or a ball of water.
    seed : int
        Makes everything that is random.
    subject : str
        BIDS participant label.
    voxel_mm : float
        Edge of the voxel, mm, where a session has none of its own.
    fov_mm : tuple of float
        Field of view along each axis, mm.
    lesions : LesionRecipe
        Lesions.
    sessions : tuple of Protocol
        Sessions.
    tubes : tuple of Tube, optional
        Cylinders in the water; for kind ``spheres`` alone.
    size : float, optional
        Ratio of the head's size to the template's: small heads take less time and are no easier.
    tissue : {"structured", "uniform"}, optional
        A head's tissue varies from point to point, its cortex is folded, it breathes and its noise varies; or each
        tissue has one value.
    heterogeneity_ppm : float, optional
        SD of the tissue's random susceptibility, ppm: smooth, of one length; on top of what structured tissue has.
    checksum : str, optional
        Checksum, sha256, of the truth tables; empty where not fixed yet.
    siderosis : SiderosisRecipe, optional
        Superficial siderosis; in structured heads alone.

    Examples
    --------
    >>> read_recipe("sphere").fov_mm
    (80.0, 80.0, 64.0)
    """

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
    size: float = 1.0
    tissue: str = "structured"
    heterogeneity_ppm: float = 0.0
    checksum: str = ""
    siderosis: SiderosisRecipe = NO_SIDEROSIS

    @property
    def is_structured(self) -> bool:
        """Whether it is a head with structure in its tissue."""
        return self.kind == "head" and self.tissue == "structured"


def data_folder() -> Path:
    """Return the folder of the recipes: in the installed package, or beside it in a checkout.

    Returns
    -------
    Path
        Folder with TOML files and the template's tissue maps.

    Examples
    --------
    >>> (data_folder() / "demo.toml").is_file()
    True
    """
    packaged = Path(str(resources.files("qsmcmb"))) / "_data" / "phantoms"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "data" / "phantoms"


def list_recipes() -> dict[str, str]:
    """Return the recipes that come with the package.

    Returns
    -------
    dict
        Name to title, by name.

    Examples
    --------
    >>> list_recipes()["sphere"]
    'Spheres in water at 3 T'
    """
    found = {}
    for path in sorted(data_folder().glob("*.toml")):
        with path.open("rb") as stream:
            found[path.stem] = str(tomllib.load(stream)["title"])
    return found


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name : str
        Name of one that comes with the package, or path of a TOML file.

    Returns
    -------
    Recipe
        The phantom.

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
    """Return the recipe of a file's tables."""
    lesions = LesionRecipe(**_tuples(tables.pop("lesions", {})))
    sessions = tuple(Protocol(**_tuples(s)) for s in tables.pop("sessions"))
    tubes = tuple(Tube(**_tuples(t)) for t in tables.pop("tubes", []))
    siderosis = SiderosisRecipe(**_tuples(tables.pop("siderosis", {})))
    recipe = Recipe(
        name=name, lesions=lesions, sessions=sessions, tubes=tubes, siderosis=siderosis, **_tuples(tables)
    )
    _check_word(name, "kind", recipe.kind, KINDS)
    _check_word(name, "tissue", recipe.tissue, TISSUES)
    _check_word(name, "lesions.distribution", lesions.distribution, DISTRIBUTIONS)
    for shape in lesions.irregular_shapes:
        _check_word(name, "lesions.irregular_shapes", shape, IRREGULAR_SHAPES)
    if not 0 <= lesions.irregular <= 1 or not lesions.irregular_shapes:
        raise ConfigError(
            f"{name}: lesions.irregular = {lesions.irregular:g} of {len(lesions.irregular_shapes)} shapes; "
            "expected 0 to 1 of at least one"
        )
    if siderosis.areas and not recipe.is_structured:
        raise ConfigError(f"{name}: siderosis.areas = {siderosis.areas}; expected 0, but in structured heads")
    for session in sessions:
        _check_word(name, "sessions.window", session.window, FILTERS)
    return recipe


def _check_word(recipe: str, field: str, found: str, known: tuple[str, ...]) -> None:
    """Raise unless a word of a recipe is known."""
    if found not in known:
        raise ConfigError(f"{recipe}: {field} = {found!r}; expected one of: {', '.join(known)}")


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with tuples for its lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
