"""Tissue of a phantom at any point of the head: susceptibility, signal and decay.

The head is the ICBM152 2009a average, warped smoothly by seed, with deep nuclei, veins, skull, scalp and air in
sinuses and ear canals; coordinates are head mm (RAS, the template's origin).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from scipy import ndimage

from qsmcmb.phantoms._anatomy_loops import paint_head, to_template
from qsmcmb.phantoms.recipe import Recipe, Tube, data_folder
from qsmcmb.typing import BoolArray, FloatArray, IntArray

AIR_PPM = 9.4
BONE_PPM = -2.0
HEAD_CENTRE_MM = np.array([0.0, -17.0, 8.0])
WARP_MM = 3.0
WARP_LENGTH_MM = 28.0
WARP_GRID_MM = 8.0
WARP_EDGE_MM = 130.0
TEXTURE_LENGTH_MM = 2.0
TUBE_EDGE_MM = 0.5
LESION_DEPTH_MM = 5.0
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
# Template mm: centre and radii of what is called deep; the tentorium's height at its back end and its rise.
DEEP_MM = ((0.0, -8.0, 8.0), (36.0, 34.0, 20.0))
TENTORIUM_MM, TENTORIUM_BACK_MM, TENTORIUM_END_MM, TENTORIUM_RISE = -20.0, -8.0, -60.0, 0.25


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

    def territory(self, head_mm: FloatArray) -> IntArray:
        """Return 1 lobar, 2 deep, 3 infratentorial at points (3, ...) of the brain; 0 where that means nothing."""

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
        self._place, template = _template_maps()
        self._size = recipe.size
        self._scale = (1 + SCALE_SD * rng.standard_normal(3)).astype(np.float32)
        n = int(2 * WARP_EDGE_MM / WARP_GRID_MM)
        noise = [
            ndimage.gaussian_filter(rng.standard_normal((n, n, n)), WARP_LENGTH_MM / WARP_GRID_MM / 2)
            for _ in "xyz"
        ]
        self._warp = np.stack([WARP_MM * w / w.std() for w in noise]).astype(np.float32)
        texture = np.zeros(template.shape[1:], np.float32)
        if recipe.texture_ppm:
            made = _texture(texture.shape, float(self._place[1, 0]), np.random.default_rng([recipe.seed, 5]))
            texture = (recipe.texture_ppm * made).astype(np.float32)
        self._maps = np.concatenate([template, texture[None]])
        self._vein_rng_seed = [recipe.seed, 2]

    def _template(self, head_mm: FloatArray) -> FloatArray:
        """Return template coordinates of head points."""
        middle = HEAD_CENTRE_MM.astype(np.float32)[:, None]
        flat = head_mm.reshape(3, -1).astype(np.float32)
        if self._size != 1:
            flat = (flat - middle) / np.float32(self._size) + middle
        flat = np.ascontiguousarray(flat)
        out = np.empty_like(flat)
        to_template(flat, self._scale, self._warp, np.array([-WARP_EDGE_MM, WARP_GRID_MM], np.float32), out)
        return out.reshape(head_mm.shape)

    def _sample(self, number: int, template_mm: FloatArray) -> FloatArray:
        origin, spacing = self._place[:, :, None]
        index = (template_mm.reshape(3, -1) - origin) / spacing
        values = ndimage.map_coordinates(self._maps[number], index, order=1, mode="nearest")
        return np.asarray(values.reshape(template_mm.shape[1:]))

    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return the tissue at points (3, ...) of the head."""
        where = self._template(head_mm).reshape(3, -1)
        nuclei = np.array([(*c, *r, ppm, hz) for c, r, ppm, hz in NUCLEI.values()], np.float32)
        sinuses = np.array([(*c, *r) for c, r in SINUSES], np.float32)
        out = np.empty((4, where.shape[1]), np.float32)
        constants = (AIR_PPM, BONE_PPM, SKULL_MM, SCALP_MM)
        paint_head(where, self._maps, self._place, nuclei, sinuses, constants, out)
        chi, signal, r2star, brain = out.reshape(4, *head_mm.shape[1:])
        return Tissue(chi, signal, r2star, brain > 0)

    def territory(self, head_mm: FloatArray) -> IntArray:
        """Return 1 lobar, 2 deep, 3 infratentorial at points (3, ...), by the template's own landmarks."""
        x, y, z = self._template(head_mm)
        # The tentorium rises towards the front; in front of the brainstem lie the temporal lobes.
        low = (y < TENTORIUM_BACK_MM) & (z < TENTORIUM_MM + TENTORIUM_RISE * (y - TENTORIUM_END_MM))
        low &= (np.abs(x) < 50) | (y < -45)
        deep = sum(((v - c) / r) ** 2 for v, c, r in zip((x, y, z), *DEEP_MM, strict=True)) <= 1
        return np.where(low, 3, np.where(deep, 2, 1)).astype(np.int32)

    def lesion_places(self) -> FloatArray:
        """Return points of grey and white matter at least 5 mm below the surface, head mm."""
        axes = [np.arange(-72, 73, 4.0), np.arange(-108, 76, 4.0), np.arange(-56, 84, 4.0)]
        points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
        where = self._template(self._to_head(points.T).T)
        good = (self._sample(2, where) > LESION_DEPTH_MM / self._size) & (
            self._sample(0, where) + self._sample(1, where) > 0.8
        )
        return self._to_head(points[:, good].T)

    def _to_head(self, full_size_mm: FloatArray) -> FloatArray:
        """Return points (n, 3) of a head of full size where they lie in this one."""
        return np.asarray((full_size_mm - HEAD_CENTRE_MM) * self._size + HEAD_CENTRE_MM)

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
        line = self._to_head(np.array(points))
        inside = self._sample(2, self._template(line.T)) > 2
        return line[inside], self._size * np.array(volumes)[inside]


class Water:
    """Balls and tubes in a ball of water, in air: no anatomy."""

    def __init__(self, recipe: Recipe) -> None:
        self._radius = 0.42 * min(recipe.fov_mm)
        self._tubes = recipe.tubes

    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return water and what is in its tubes inside a ball, air outside."""
        inside = (head_mm**2).sum(axis=0) < self._radius**2
        chi = np.where(inside, 0.0, AIR_PPM).astype(np.float32)
        signal = inside.astype(np.float32)
        decay = np.full(chi.shape, 5.0, np.float32)
        for tube in self._tubes:
            part = _tube_part(head_mm, tube) * inside
            chi += part * np.float32(tube.chi_ppm)
            signal += part * np.float32(tube.signal - 1)
            decay += part * np.float32(tube.r2star_hz - 5)
        return Tissue(chi, signal, decay, inside)

    def territory(self, head_mm: FloatArray) -> IntArray:
        """Return 0: water has no territories."""
        return np.zeros(head_mm.shape[1:], np.int32)

    def lesion_places(self) -> FloatArray:
        """Return points well inside."""
        axis = np.arange(-self._radius, self._radius, 3.0)
        points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
        return np.asarray(points[:, (points**2).sum(axis=0) < (self._radius - 9) ** 2].T)

    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return no vein."""
        return np.zeros((0, 3)), np.zeros(0)


@lru_cache(maxsize=1)
def _template_maps() -> tuple[FloatArray, FloatArray]:
    """Return origin and spacing (2, 3) of the template, and its grey matter, white matter and depth (mm)."""
    with np.load(data_folder() / "icbm152_tissues.npz") as stored:
        gm, wm, brain = (stored[k].astype(np.float32) / 255 for k in ("gm", "wm", "brain"))
        affine = stored["affine"]
    spacing = np.diag(affine)[:3]
    inside = brain > 0.5
    outer = ndimage.distance_transform_edt(~inside, spacing).astype(np.float32)
    inner = ndimage.distance_transform_edt(inside, spacing).astype(np.float32)
    return np.stack([affine[:3, 3], spacing]).astype(np.float32), np.stack([gm, wm, inner - outer])


def _tube_part(head_mm: FloatArray, tube: Tube) -> FloatArray:
    """Return 1 in a tube, 0 outside, with an edge of TUBE_EDGE_MM."""
    axis = np.array(tube.direction, np.float32)
    axis /= np.linalg.norm(axis)
    offset = head_mm - np.array(tube.centre_mm, np.float32).reshape(-1, *[1] * (head_mm.ndim - 1))
    along = np.tensordot(axis, offset, axes=1)
    distance = np.sqrt(np.maximum((offset**2).sum(axis=0) - along**2, 0))
    return np.clip(0.5 + (tube.radius_mm - distance) / TUBE_EDGE_MM, 0, 1).astype(np.float32)


def _texture(shape: tuple[int, ...], spacing_mm: float, rng: np.random.Generator) -> FloatArray:
    """Return a smooth random field of SD 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), TEXTURE_LENGTH_MM / spacing_mm)
    return np.asarray(noise / noise.std())


def make_anatomy(recipe: Recipe) -> Anatomy:
    """Return the anatomy that the recipe names."""
    return Head(recipe) if recipe.kind == "head" else Water(recipe)
