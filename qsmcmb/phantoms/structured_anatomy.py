"""The warped head with a folded cortex, tissue that varies from point to point, and veins down to 0.2 mm."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.phantoms._structure_loops import paint_tissue
from qsmcmb.phantoms.head_anatomy import (
    DEEP_MM,
    HEAD_CENTRE_MM,
    LOBAR,
    NUCLEI,
    TENTORIUM_BACK_MM,
    TENTORIUM_END_MM,
    TENTORIUM_MM,
    TENTORIUM_RISE,
    VEIN_STEP_MM,
    HeadAnatomy,
)
from qsmcmb.phantoms.recipe import Recipe
from qsmcmb.phantoms.siderosis import MIDLINE_MM, Cortex, SiderosisArea, draw_areas, paint_areas
from qsmcmb.phantoms.structure import SPACING_MM, make_structure
from qsmcmb.typing import FloatArray, IntArray

__all__: tuple[str, ...] = ()

CORTEX_PPM, WHITE_PPM = 0.013, -0.025
"""Mean susceptibility of cortex and white matter against CSF, ppm: 20 to 40 ppb apart in maps of adults."""
LAYER_PPM = 0.012
"""Susceptibility of the cortex's deep layers above the rest of it, ppm."""
CORTEX_MM, CORTEX_SPREAD_MM = 2.8, 0.4
"""Thickness of the cortex and its SD, mm: 2 to 4 mm over the brain (Fischl 2000, doi:10.1073/pnas.200033797)."""
RANDOM_PPM = 0.017
"""SD of the susceptibility within a tissue, ppm."""
SLOW_PPM = 0.012
"""SD of the white matter's susceptibility over some centimetres, ppm: fibre tracts lie at -20 to -50 ppb."""
RANDOM_SIGNAL = 0.04
"""SD of the signal within a tissue, relative."""
RANDOM_HZ, SHARED_HZ = 1.2, 1.2
"""SD of R2* at 3 T within a tissue, 1/s: of its own, and of what goes with susceptibility."""
RANDOM_NUCLEI = 0.12
"""SD of the susceptibility within a nucleus, relative."""
ROUGH = 0.10
"""SD of a nucleus's radius over its surface, relative."""
IRON_HZ = 200.0
"""R2* at 3 T per susceptibility of iron, 1/s/ppm."""
NUCLEI_CHANGE = {
    "caudate": (0.0, 0.15, 0.0),
    "putamen": (0.15, -0.3, 0.0),
    "pallidum": (0.2, 0.1, 0.0),
    "thalamus": (0.3, -1.5, 0.5),
    "red nucleus": (0.0, 0.0, -0.1),
    "substantia nigra": (-0.2, 0.2, -0.2),
    "dentate": (0.2, 0.0, 0.0),
}
"""Change of susceptibility from a nucleus's middle to its surface along x (from the midline), y and z, relative."""
LESION_PIAL_MM = 1.5
"""Least distance of lesions from the CSF of sulci, mm."""
MEDULLARY_VEINS, PIAL_VEINS = 160, 220
"""Number of veins in the white matter and on the cortex."""
MEDULLARY_RADIUS_MM, PIAL_RADIUS_MM = (0.2, 0.5), (0.3, 1.2)
"""Range of their radii, mm, log-uniform."""


class StructuredAnatomy(HeadAnatomy):
    """The warped template with structure in its tissue; the recipe's seed makes it."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self._structure = make_structure(
            self._maps[2], self._map_axes, HEAD_CENTRE_MM, self._size, [recipe.seed, 6]
        )
        self._tissue_maps = np.ascontiguousarray(np.moveaxis(self._maps, 0, -1))
        self._axes = np.concatenate([self._map_axes, self._structure.axes])
        self._vein_rng_seed = [recipe.seed, 7]
        self._siderosis = self._draw_siderosis(recipe) if recipe.siderosis.areas else []

    def _draw_siderosis(self, recipe: Recipe) -> list[SiderosisArea]:
        """Return the areas of siderosis, their points in head mm."""
        origin, spacing = self._structure.axes
        pial = self._structure.maps[..., 0]
        template = origin + spacing * np.moveaxis(np.indices(pial.shape, dtype=np.float32), 0, -1)
        where = np.moveaxis(template, -1, 0)
        convex = (self._territory(where) == LOBAR) & (self._size * np.abs(where[0]) > MIDLINE_MM)
        cortex = Cortex(pial, self._size * self._sample(2, where), convex, SPACING_MM)
        areas = draw_areas(recipe.siderosis, cortex, np.random.default_rng([recipe.seed, 8]))
        return [a._replace(head_mm=self._from_template(origin + spacing * a.head_mm)) for a in areas]

    def siderosis(self) -> tuple[SiderosisArea, ...]:
        """Return the areas of superficial siderosis."""
        return tuple(self._siderosis)

    def _paint(self, where: FloatArray) -> FloatArray:
        """Return susceptibility, signal, R2* and brain (4, n) at template points (3, n)."""
        out = super()._paint(where)
        nuclei = [(*c, *r, ppm, hz, *NUCLEI_CHANGE[name]) for name, (c, r, ppm, hz) in NUCLEI.items()]
        limits = (*DEEP_MM[0], *DEEP_MM[1], TENTORIUM_MM, TENTORIUM_BACK_MM, TENTORIUM_END_MM, TENTORIUM_RISE)
        constants = (
            self._size, CORTEX_PPM, WHITE_PPM, LAYER_PPM, CORTEX_MM, CORTEX_SPREAD_MM, RANDOM_PPM, SLOW_PPM,
            RANDOM_SIGNAL, RANDOM_HZ, SHARED_HZ, RANDOM_NUCLEI, ROUGH, IRON_HZ,
        )  # fmt: skip
        paint_tissue(
            where, self._tissue_maps, self._structure.maps, self._axes, np.array(nuclei, np.float32),
            np.array(limits, np.float32), np.array(constants, np.float32), out,
        )  # fmt: skip
        if self._siderosis:
            origin, spacing = self._structure.axes[:, :, None]
            paint_areas(self._siderosis, (where - origin) / spacing, self._structure.maps[..., 0], out)
        return out

    def lesion_positions(self) -> FloatArray:
        """Return points of grey and white matter at least 5 mm below the surface and away from sulci, head mm."""
        points = super().lesion_positions()
        origin, spacing = self._structure.axes
        index = (self._template(points.T).T - origin) / spacing
        pial = ndimage.map_coordinates(self._structure.maps[..., 0], index.T, order=1, mode="nearest")
        return points[pial > LESION_PIAL_MM]

    def nuclei(self, head_mm: FloatArray) -> IntArray:
        """Return at points (3, ...) the number of the nucleus, in the order of NUCLEI from 1; 0 outside."""
        x, y, z = self._template(head_mm)
        found = np.zeros(head_mm.shape[1:], np.int32)
        for number, (c, r, *_) in enumerate(NUCLEI.values(), 1):
            inside = ((np.abs(x) - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 + ((z - c[2]) / r[2]) ** 2
            found[inside <= 1] = number
        return found

    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return points along veins from the ventricles' walls to the cortex, and along the pial surface."""
        rng = np.random.default_rng(self._vein_rng_seed)
        walks = [self._medullary_veins(rng), self._pial_veins(rng)]
        points = np.concatenate([p for p, _ in walks])
        volumes = np.concatenate([v for _, v in walks])
        inside = self._sample(2, self._template(points.T)) > 0.5 / self._size
        return points[inside], volumes[inside]

    def _medullary_veins(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return points and volumes of veins in the white matter, head mm."""
        n = MEDULLARY_VEINS
        side = rng.choice([-1.0, 1.0], n)
        start = np.stack([side * rng.uniform(12, 24, n), rng.uniform(-65, 35, n), rng.uniform(0, 35, n)])
        heading = np.stack(
            [side * rng.uniform(0.2, 1, n), rng.uniform(-0.6, 0.6, n), rng.uniform(-0.3, 1, n)]
        )
        return _walk(
            self._to_head(start.T).T,
            heading,
            rng.uniform(15, 40, n),
            _radii(MEDULLARY_RADIUS_MM, n, rng),
            rng,
        )

    def _pial_veins(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return points and volumes of veins on the pial surface, head mm."""
        origin, spacing = self._structure.axes
        pial = self._structure.maps[..., 0]
        near = np.argwhere(np.abs(pial[2:-2, 2:-2, 2:-2]) < 0.4) + 2
        chosen = near[rng.integers(len(near), size=PIAL_VEINS)]
        start = origin + spacing * chosen
        heading = rng.standard_normal((3, PIAL_VEINS))
        towards = _Pull(pial, origin, spacing, self._size)
        return _walk(
            start.T, heading, rng.uniform(20, 70, PIAL_VEINS), _radii(PIAL_RADIUS_MM, PIAL_VEINS, rng), rng,
            pull=towards,
        )  # fmt: skip


class _Pull(NamedTuple):
    """The way back to the pial surface."""

    pial_mm: FloatArray
    origin: FloatArray
    spacing: FloatArray
    size: float

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return the shift (3, n) that brings points (3, n) to the surface, at most half a mm."""
        index = np.rint((points.T - self.origin) / self.spacing).astype(int)
        index = np.clip(index, 1, np.array(self.pial_mm.shape) - 2)
        here = self.pial_mm[tuple(index.T)]
        steps = np.eye(3, dtype=int)
        slope = np.stack(
            [self.pial_mm[tuple((index + s).T)] - self.pial_mm[tuple((index - s).T)] for s in steps]
        )
        slope /= np.maximum(np.linalg.norm(slope, axis=0), 1e-6)
        return np.asarray(-np.clip(here, -0.5, 0.5) * slope)


def _radii(limits: tuple[float, float], count: int, rng: np.random.Generator) -> FloatArray:
    """Return log-uniform radii, mm."""
    return np.asarray(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]), count)))


def _walk(
    start: FloatArray, heading: FloatArray, length_mm: FloatArray, radius_mm: FloatArray, rng: np.random.Generator,
    *, pull: _Pull | None = None,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Return points (n, 3) and volumes of curved veins that start at points (3, n)."""
    position, points, volumes = start.copy(), [], []
    for step in range(int(length_mm.max() / VEIN_STEP_MM)):
        heading = heading / np.linalg.norm(heading, axis=0) + 0.06 * rng.standard_normal(heading.shape)
        position = position + VEIN_STEP_MM * heading / np.linalg.norm(heading, axis=0)
        if pull is not None:
            shift = pull(position)
            position, heading = position + shift, heading + 0.5 * shift
        left = step * VEIN_STEP_MM < length_mm
        # Veins thin out towards their end.
        radius = radius_mm * np.sqrt(np.maximum(1 - 0.7 * step * VEIN_STEP_MM / length_mm, 0.1))
        points.append(position.T[left])
        volumes.append(np.pi * radius[left] ** 2 * VEIN_STEP_MM)
    return np.concatenate(points), np.concatenate(volumes)
