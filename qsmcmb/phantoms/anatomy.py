"""Tissue of a phantom at any point of the head: susceptibility, signal and decay.

The head is the ICBM152 2009a average, warped smoothly by seed, with deep nuclei, veins, skull, scalp and air in
sinuses and ear canals; coordinates are head mm (RAS, the template's origin).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from scipy import ndimage

from qsmcmb.phantoms.recipe import Recipe, data_folder
from qsmcmb.typing import BoolArray, FloatArray

AIR_PPM = 9.4
WARP_MM = 3.0
WARP_LENGTH_MM = 28.0
WARP_GRID_MM = 8.0
SCALE_SD = 0.03
SKULL_MM = 6.0
SCALP_MM = 12.0
VEIN_PPM = 0.30
VEIN_COUNT = 60
VEIN_STEP_MM = 0.25

# (centre, radii in mm, susceptibility in ppm, R2* at 3 T in 1/s) of the right one of each pair.
NUCLEI = {
    "caudate": ((12.0, 14.0, 9.0), (5.0, 10.0, 9.0), 0.05, 28.0),
    "putamen": ((26.0, 3.0, 0.0), (5.0, 13.0, 9.0), 0.06, 30.0),
    "pallidum": ((18.0, -4.0, -1.0), (5.0, 8.0, 6.0), 0.13, 45.0),
    "thalamus": ((11.0, -19.0, 8.0), (8.0, 12.0, 9.0), 0.01, 22.0),
    "red nucleus": ((5.0, -20.0, -8.0), (3.5, 3.5, 4.0), 0.11, 38.0),
    "substantia nigra": ((10.0, -17.0, -12.0), (4.5, 4.5, 3.5), 0.14, 42.0),
    "dentate": ((15.0, -57.0, -33.0), (7.0, 5.0, 5.0), 0.09, 33.0),
}
SINUSES = (
    ((0.0, 76.0, -18.0), (14.0, 7.0, 10.0)),
    ((0.0, 34.0, -36.0), (12.0, 14.0, 9.0)),
    ((52.0, -22.0, -42.0), (7.0, 9.0, 6.0)),
    ((-52.0, -22.0, -42.0), (7.0, 9.0, 6.0)),
)


class Tissue(NamedTuple):
    """Susceptibility (ppm, CSF 0), signal at TE 0 (0 to 1), and R2* at 3 T (1/s) at some points."""

    chi_ppm: FloatArray
    signal: FloatArray
    r2star_hz: FloatArray
    brain: BoolArray


class Anatomy(Protocol):
    """What a phantom is made of."""

    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return the tissue at points (3, ...) of the head."""

    def lesion_places(self) -> FloatArray:
        """Return points (n, 3) where lesions may lie, head mm."""

    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return points (n, 3) along the veins, head mm, and the volume (mm3) of vein that each stands for."""


class Head:
    """The warped template.

    Parameters
    ----------
    recipe : Recipe
        Its seed makes the head.
    """

    def __init__(self, recipe: Recipe) -> None:
        rng = np.random.default_rng([recipe.seed, 1])
        with np.load(data_folder() / "icbm152_tissues.npz") as stored:
            self._maps = {k: stored[k].astype(np.float32) / 255 for k in ("gm", "wm", "brain")}
            self._affine = stored["affine"]
        spacing = np.diag(self._affine)[:3]
        inside = self._maps["brain"] > 0.5
        outer = ndimage.distance_transform_edt(~inside, spacing).astype(np.float32)
        inner = ndimage.distance_transform_edt(inside, spacing).astype(np.float32)
        self._maps["depth"] = inner - outer
        self._scale = 1 + SCALE_SD * rng.standard_normal(3)
        n = int(260 / WARP_GRID_MM)
        noise = [
            ndimage.gaussian_filter(rng.standard_normal((n, n, n)), WARP_LENGTH_MM / WARP_GRID_MM / 2)
            for _ in "xyz"
        ]
        self._warp = [(WARP_MM * w / w.std()).astype(np.float32) for w in noise]
        self._vein_rng_seed = [recipe.seed, 2]

    def _template(self, head_mm: FloatArray) -> FloatArray:
        """Return template coordinates of head points."""
        flat = head_mm.reshape(3, -1).astype(np.float32)
        index = (flat + 130.0) / WARP_GRID_MM
        shift = np.stack([ndimage.map_coordinates(w, index, order=1, mode="nearest") for w in self._warp])
        return np.asarray((flat * self._scale[:, None] + shift).reshape(head_mm.shape), dtype=np.float32)

    def _sample(self, name: str, template_mm: FloatArray) -> FloatArray:
        origin, spacing = self._affine[:3, 3], np.diag(self._affine)[:3]
        index = (template_mm.reshape(3, -1) - origin[:, None].astype(np.float32)) / spacing[:, None].astype(
            np.float32
        )
        values = ndimage.map_coordinates(self._maps[name], index, order=1, mode="nearest")
        return np.asarray(values.reshape(template_mm.shape[1:]))

    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return the tissue at points (3, ...) of the head."""
        where = self._template(head_mm)
        gm, wm, depth = (self._sample(name, where) for name in ("gm", "wm", "depth"))
        brain = depth > 0
        matter = np.clip(gm + wm, 1.0, None)
        gm, wm = gm / matter, wm / matter
        csf = 1 - gm - wm
        chi = np.where(brain, 0.02 * gm - 0.03 * wm, 0.0)
        signal = np.where(brain, 1.0 * gm + 0.85 * wm + 0.7 * csf, 0.0)
        r2star = np.where(brain, 18.0 * gm + 22.0 * wm + 3.0 * csf, 25.0)
        for centre, radii, nucleus_ppm, nucleus_hz in NUCLEI.values():
            weight = _ellipsoid(np.stack([np.abs(where[0]), where[1], where[2]]), centre, radii) * brain
            chi += weight * (nucleus_ppm - chi)
            r2star += weight * (nucleus_hz - r2star)
        skull = ~brain & (depth > -SKULL_MM)
        scalp = ~brain & ~skull & (depth > -SCALP_MM)
        air = ~brain & ~skull & ~scalp
        for centre, radii in SINUSES:
            air |= (_ellipsoid(where, centre, radii) > 0.5) & ~brain
        chi = np.where(skull, -2.0, chi) + np.where(air, AIR_PPM - np.where(skull, -2.0, 0.0), 0.0)
        signal = np.where(skull, 0.04, np.where(scalp, 0.8, signal)) * ~air
        return Tissue(chi.astype(np.float32), signal.astype(np.float32), r2star.astype(np.float32), brain)

    def lesion_places(self) -> FloatArray:
        """Return points of grey and white matter at least 5 mm below the surface, head mm."""
        axes = [np.arange(-72, 73, 4.0), np.arange(-108, 76, 4.0), np.arange(-56, 84, 4.0)]
        points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
        where = self._template(points)
        good = (self._sample("depth", where) > 5) & (
            self._sample("gm", where) + self._sample("wm", where) > 0.8
        )
        return np.asarray(points[:, good].T)

    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return points along curved veins from the ventricles' walls to the cortex, and along the sagittal sinus."""
        rng = np.random.default_rng(self._vein_rng_seed)
        points, volumes = [], []
        for _ in range(VEIN_COUNT):
            side = rng.choice([-1.0, 1.0])
            place = np.array([side * rng.uniform(14, 26), rng.uniform(-65, 35), rng.uniform(5, 35)])
            heading = np.array([side * rng.uniform(0.2, 1), rng.uniform(-0.6, 0.6), rng.uniform(0, 1)])
            radius = rng.uniform(0.25, 0.7)
            for _ in range(int(rng.uniform(20, 45) / VEIN_STEP_MM)):
                heading = heading / np.linalg.norm(heading) + 0.06 * rng.standard_normal(3)
                place = place + VEIN_STEP_MM * heading / np.linalg.norm(heading)
                points.append(place)
                volumes.append(np.pi * radius**2 * VEIN_STEP_MM)
        line = np.array(points)
        inside = self._sample("depth", self._template(line.T)) > 2
        return line[inside], np.array(volumes)[inside]


class Water:
    """Balls in a cylinder of water, in air: no anatomy."""

    def __init__(self, recipe: Recipe) -> None:
        self._radius = 0.42 * min(recipe.fov_mm)

    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return water inside a ball, air outside."""
        inside = (head_mm**2).sum(axis=0) < self._radius**2
        chi = np.where(inside, 0.0, AIR_PPM).astype(np.float32)
        decay = np.full(chi.shape, 5.0, np.float32)
        return Tissue(chi, inside.astype(np.float32), decay, inside)

    def lesion_places(self) -> FloatArray:
        """Return points well inside."""
        axis = np.arange(-self._radius, self._radius, 3.0)
        points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
        return np.asarray(points[:, (points**2).sum(axis=0) < (self._radius - 9) ** 2].T)

    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return no vein."""
        return np.zeros((0, 3)), np.zeros(0)


def _ellipsoid(
    points: FloatArray, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> FloatArray:
    """Return 1 inside, 0 outside, with an edge of about 1 mm."""
    r2 = sum(((points[i] - centre[i]) / radii[i]) ** 2 for i in range(3))
    return np.clip(0.5 + (1 - np.sqrt(r2)) * min(radii), 0, 1)


def make_anatomy(recipe: Recipe) -> Anatomy:
    """Return the anatomy that the recipe names."""
    return Head(recipe) if recipe.kind == "head" else Water(recipe)
