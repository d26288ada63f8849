"""The head: the ICBM152 2009a average, warped smoothly by seed, with nuclei, veins, skull, scalp, sinuses, ear canals.

Coordinates are head mm (RAS, the template's origin). Each tissue has one value, and a random part where asked.

References
----------
Fonov V, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL. Unbiased average age-appropriate atlases for
pediatric studies. NeuroImage 2011;54:313-327. doi:10.1016/j.neuroimage.2010.07.033
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from qsmcmb.phantoms._anatomy_loops import paint_head, to_template
from qsmcmb.phantoms.anatomy import AIR_PPM, Anatomy, NucleusPair, Tissue
from qsmcmb.phantoms.recipe import Recipe, data_folder
from qsmcmb.typing import FloatArray, IntArray

__all__: tuple[str, ...] = ()

BONE_PPM = -2.0
"""Susceptibility of cortical bone against water, ppm: about -11 against -9."""
HEAD_CENTRE_MM = np.array([0.0, -17.0, 8.0])
"""Middle of the template's brain, mm: what heads are turned and scaled about."""
WARP_MM = 3.0
"""SD of the warp along each axis, mm: heads of the same size differ by some millimetres."""
WARP_LENGTH_MM = 28.0
"""Length over which the warp changes, mm: far more than its size, so that it bends tissue and does not fold it."""
WARP_GRID_MM = 8.0
"""Spacing of the grid on which the warp is drawn, mm: fine beside its length."""
WARP_EDGE_MM = 130.0
"""Distance from the origin to which the warp is drawn, mm: past the head on all sides."""
HETEROGENEITY_LENGTH_MM = 2.0
"""SD of the Gaussian by which the random susceptibility of tissue is smoothed, mm: short beside a lesion's
surroundings, so that no smooth background takes it up.
"""
LESION_DEPTH_MM = 5.0
"""Least depth of lesions below the brain's surface, mm: the ball of a measurement lies largely inside the mask."""
SCALE_SD = 0.03
"""SD of the head's length along each axis, relative: adult heads spread by a few percent."""
SKULL_MM = 6.0
"""Depth of the skull's outer surface outside the brain, mm."""
SCALP_MM = 12.0
"""Depth of the scalp's outer surface outside the brain, mm."""
VEIN_PPM = 0.30
"""Susceptibility of veins, ppm: venous blood is paramagnetic beside tissue."""
VEIN_COUNT = 60
"""Number of veins in the white matter."""
VEIN_STEP_MM = 0.25
"""Distance of the points along a vein, mm: half a fine voxel, so that a vein has no gaps."""

NUCLEI = {
    "caudate": ((12.0, 14.0, 9.0), (5.0, 10.0, 9.0), 0.05, 28.0),
    "putamen": ((26.0, 3.0, 0.0), (5.0, 13.0, 9.0), 0.06, 30.0),
    "pallidum": ((18.0, -4.0, -1.0), (5.0, 8.0, 6.0), 0.13, 45.0),
    "thalamus": ((11.0, -19.0, 8.0), (8.0, 12.0, 9.0), 0.01, 22.0),
    "red nucleus": ((5.0, -20.0, -8.0), (3.5, 3.5, 4.0), 0.11, 38.0),
    "substantia nigra": ((10.0, -17.0, -12.0), (4.5, 4.5, 3.5), 0.14, 42.0),
    "dentate": ((15.0, -57.0, -33.0), (7.0, 5.0, 5.0), 0.09, 33.0),
}
"""Name to centre (mm), radii (mm), susceptibility (ppm) and R2* at 3 T (1/s) of the deep nuclei on the right; round
values of adults, the same on the left.
"""
MIN_IRON_PPM = 0.04
"""Susceptibility, ppm, from which a nucleus holds iron: all but the thalamus."""
SINUSES = (
    ((0.0, 76.0, -18.0), (14.0, 7.0, 10.0)),
    ((0.0, 34.0, -36.0), (12.0, 14.0, 9.0)),
    ((52.0, -22.0, -42.0), (7.0, 9.0, 6.0)),
    ((-52.0, -22.0, -42.0), (7.0, 9.0, 6.0)),
)
"""Centre and radii, mm, of ellipsoids filled with air: frontal and sphenoid sinus, mastoid cells on both sides."""
UNWARPINGS = 12
"""Repetitions that undo the warp: each leaves about a fifth of the error."""
LOBAR, DEEP, INFRATENTORIAL = 1, 2, 3
"""Numbers of the territories."""
DEEP_MM = ((0.0, -8.0, 8.0), (36.0, 34.0, 20.0))
"""Centre and radii, mm, of the ellipsoid of the template that is called deep."""
TENTORIUM_MM, TENTORIUM_BACK_MM, TENTORIUM_END_MM, TENTORIUM_RISE = -20.0, -8.0, -60.0, 0.25
"""Height of the tentorium at its back end, y below which it lies, y of its back end, all mm, and its rise per
length.
"""


class HeadAnatomy(Anatomy):
    """The warped template; the recipe's seed makes the head."""

    def __init__(self, recipe: Recipe) -> None:
        rng = np.random.default_rng([recipe.seed, 1])
        self._map_axes, template = _template_maps()
        self._size = recipe.size
        self._scale = (1 + SCALE_SD * rng.standard_normal(3)).astype(np.float32)
        n = int(2 * WARP_EDGE_MM / WARP_GRID_MM)
        noise = [
            ndimage.gaussian_filter(rng.standard_normal((n, n, n)), WARP_LENGTH_MM / WARP_GRID_MM / 2)
            for _ in "xyz"
        ]
        self._warp = np.stack([WARP_MM * w / w.std() for w in noise]).astype(np.float32)
        heterogeneity = np.zeros(template.shape[1:], np.float32)
        if recipe.heterogeneity_ppm:
            made = _random_field(
                heterogeneity.shape, float(self._map_axes[1, 0]), np.random.default_rng([recipe.seed, 5])
            )
            heterogeneity = (recipe.heterogeneity_ppm * made).astype(np.float32)
        self._maps = np.concatenate([template, heterogeneity[None]])
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

    def _from_template(self, template_mm: FloatArray) -> FloatArray:
        """Return head points (n, 3) of template points (n, 3): the warp is undone by repetition, it is mild."""
        head_mm = self._to_head(template_mm)
        for _ in range(UNWARPINGS):
            head_mm = head_mm - self._size * (self._template(head_mm.T).T - template_mm)
        return head_mm

    def _sample(self, number: int, template_mm: FloatArray) -> FloatArray:
        """Return one map of the template at its coordinates, linear between voxels."""
        origin, spacing = self._map_axes[:, :, None]
        index = (template_mm.reshape(3, -1) - origin) / spacing
        values = ndimage.map_coordinates(self._maps[number], index, order=1, mode="nearest")
        return np.asarray(values.reshape(template_mm.shape[1:]))

    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return the tissue at points (3, ...) of the head."""
        chi, signal, r2star, brain = self._paint(self._template(head_mm).reshape(3, -1)).reshape(
            4, *head_mm.shape[1:]
        )
        return Tissue(chi, signal, r2star, brain > 0)

    def _paint(self, where: FloatArray) -> FloatArray:
        """Return susceptibility, signal, R2* and brain (4, n) at template points (3, n)."""
        nuclei = np.array([(*c, *r, ppm, hz) for c, r, ppm, hz in NUCLEI.values()], np.float32)
        sinuses = np.array([(*c, *r) for c, r in SINUSES], np.float32)
        out = np.empty((4, where.shape[1]), np.float32)
        constants = (AIR_PPM, BONE_PPM, SKULL_MM, SCALP_MM)
        paint_head(where, self._maps, self._map_axes, nuclei, sinuses, constants, out)
        return out

    def territory(self, head_mm: FloatArray) -> IntArray:
        """Return 1 lobar, 2 deep, 3 infratentorial at points (3, ...), by the template's own landmarks."""
        return self._territory(self._template(head_mm))

    def _territory(self, template_mm: FloatArray) -> IntArray:
        """Return the territory at points (3, ...) of the template."""
        x, y, z = template_mm
        # The tentorium rises towards the front; in front of the brainstem lie the temporal lobes.
        low = (y < TENTORIUM_BACK_MM) & (z < TENTORIUM_MM + TENTORIUM_RISE * (y - TENTORIUM_END_MM))
        low &= (np.abs(x) < 50) | (y < -45)
        deep = sum(((v - c) / r) ** 2 for v, c, r in zip((x, y, z), *DEEP_MM, strict=True)) <= 1
        return np.where(low, INFRATENTORIAL, np.where(deep, DEEP, LOBAR)).astype(np.int32)

    def lesion_positions(self) -> FloatArray:
        """Return points of grey and white matter at least 5 mm below the surface, head mm."""
        axes = [np.arange(-72, 73, 4.0), np.arange(-108, 76, 4.0), np.arange(-56, 84, 4.0)]
        points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
        where = self._template(self._to_head(points.T).T)
        good = (self._sample(2, where) > LESION_DEPTH_MM / self._size) & (
            self._sample(0, where) + self._sample(1, where) > 0.8
        )
        return self._to_head(points[:, good].T)

    def iron_nuclei(self) -> tuple[NucleusPair, ...]:
        """Return the deep nuclei that hold iron."""
        sides = np.array([[-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
        return tuple(
            NucleusPair(self._from_template(sides * centre), self._size * min(radii))
            for centre, radii, ppm, _ in NUCLEI.values()
            if ppm >= MIN_IRON_PPM
        )

    def _to_head(self, full_size_mm: FloatArray) -> FloatArray:
        """Return points (n, 3) of a head of full size where they lie in this one."""
        return np.asarray((full_size_mm - HEAD_CENTRE_MM) * self._size + HEAD_CENTRE_MM)

    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return points along curved veins from the ventricles' walls to the cortex, and along the sagittal sinus."""
        rng = np.random.default_rng(self._vein_rng_seed)
        points, volumes = [], []
        for _ in range(VEIN_COUNT):
            side = rng.choice([-1.0, 1.0])
            position = np.array([side * rng.uniform(14, 26), rng.uniform(-65, 35), rng.uniform(5, 35)])
            heading = np.array([side * rng.uniform(0.2, 1), rng.uniform(-0.6, 0.6), rng.uniform(0, 1)])
            radius = rng.uniform(0.25, 0.7)
            for _ in range(int(rng.uniform(20, 45) / VEIN_STEP_MM)):
                heading = heading / np.linalg.norm(heading) + 0.06 * rng.standard_normal(3)
                position = position + VEIN_STEP_MM * heading / np.linalg.norm(heading)
                points.append(position)
                volumes.append(np.pi * radius**2 * VEIN_STEP_MM)
        line = self._to_head(np.array(points))
        inside = self._sample(2, self._template(line.T)) > 2
        return line[inside], self._size * np.array(volumes)[inside]


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


def _random_field(shape: tuple[int, ...], spacing_mm: float, rng: np.random.Generator) -> FloatArray:
    """Return a smooth random field of SD 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), HETEROGENEITY_LENGTH_MM / spacing_mm)
    return np.asarray(noise / noise.std())
