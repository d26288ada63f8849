"""Make icbm152_regions.npz, the region map, from the ICBM152 2009a maps that nilearn carries: run once, it is kept.

Needs `pip install nilearn SimpleITK`. The template is symmetric: its right half is labelled and kept.

- Deep nuclei grow from their axes to the edges of the T1 template (watershed).
- Cerebrum, cerebellum and brainstem, and then the lobes, grow from published landmarks (landmarks.tsv) by the shortest
  way through tissue; sulci and tentorium are a detour.
- White matter is told apart by distances: to cortex, ventricles and nuclei.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nilearn import datasets
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from qsmcmb.anatomy.regions import STRUCTURES

HERE = Path(__file__).parent
FLUID_T1 = 140.0
"""T1 intensity of the template below which a voxel is mostly fluid; ventricles have below 90, cortex 165 and more."""
TISSUE_T1 = 165.0
"""Intensity from which it is tissue alone."""
FLUID_COST, WHITE_COST, NUCLEUS_COST = 8.0, 2.5, 10.0
"""Cost of a way through fluid, and for the lobes through white matter and nuclei, relative to grey matter."""
SEED_MM = 4.0
"""Radius about a landmark in which its region starts, mm."""
AXES = {
    "caudate nucleus": (2.0, [(12, 19, -1), (13, 12, 8), (14, 4, 13)], [(17, -8, 19.5), (17, -8, 19.5)]),
    "putamen": (2.5, [(21, 14, -3), (26, 4, 2), (30, -10, 4)]),
    "pallidum": (1.5, [(15, 2, -2), (19.5, -3, 0), (23, -9, 1)]),
    "thalamus": (4.0, [(7, -10, 7), (12, -18, 8), (16, -26, 6)]),
}
"""Radius of the markers, mm, and axes of the nuclei through their published centroids, MNI mm."""
OTHERS = (
    (1.0, [(16, 12, 3), (17, 4, 4), (14.5, -3, 7), (20, -11, 8), (25, -20, 8)]),
    (1.0, [(19, 14, 10), (21, 2, 12), (24, -12, 14)]),
    (1.5, [(38, 8, -4), (39, 0, 0), (38, -10, 6)]),
    (2.5, [(25, -4, -18), (27, -20, -12)]),
    (3.0, [(5, -20, -9), (11, -17, -12), (3, -4, -10)]),
    (4.0, [(4, -26, -33), (3, -30, -20), (3, -40, -50)]),
)
"""Markers of what the nuclei end at: internal capsule, insula, hippocampus, midbrain and hypothalamus, brainstem."""
GYRI = (
    ("frontal", [(4, -28, 72), (12, -25, 72), (25, -20, 72), (32, -18, 72)]),
    ("frontal", [(20, -21, 64), (33, -21, 64), (40, -12, 64)]),
    ("frontal", [(30, -18, 56), (38, -20, 56), (40, -12, 56), (45, -7, 56)]),
    ("frontal", [(32, -14, 48), (45, -9, 48), (55, -5, 48)]),
    ("frontal", [(38, -10, 38), (50, -3, 38), (60, 2, 38)]),
    ("frontal", [(45, -2, 28), (58, 3, 28)]),
    ("parietal", [(8, -43, 72), (15, -36, 72), (25, -31, 72), (35, -31, 72)]),
    ("parietal", [(20, -34, 64), (35, -33, 64), (45, -30, 64), (48, -23, 64)]),
    ("parietal", [(28, -33, 56), (42, -32, 56), (50, -22, 56), (53, -14, 56)]),
    ("parietal", [(38, -27, 48), (45, -20, 48), (55, -15, 48), (60, -15, 48)]),
    ("parietal", [(40, -23, 38), (50, -16, 38), (60, -9, 38)]),
    ("parietal", [(50, -13, 28), (60, -8, 28), (65, -5, 28)]),
    ("parietal", [(50, -18, 19), (50, -28, 22), (50, -38, 27)]),
    ("temporal", [(50, -20, 5), (50, -32, 10), (50, -42, 13)]),
    ("parietal", [(12, -69, 42), (12, -62, 31), (12, -56, 22)]),
    ("occipital", [(12, -83, 38), (12, -76, 30), (12, -70, 20)]),
)
"""Lobe and axes of the gyri beside central, lateral and parieto-occipital sulcus, read off the template, MNI mm: what
lies on either side of a sulcus is told apart by it, not by the landmarks' distance.
"""
BRAINSTEM_AXIS = [(0, -26, -12), (4, -26, -33), (0, -40, -55), (0, -42, -70)]
"""Axis of the brainstem, MNI mm: midbrain, pons, medulla."""
BRAINSTEM_TOP = ((-34.0, 2.0), (-8.0, -14.0))
"""y and z, mm, of two points of the plane in which the midbrain ends: behind the posterior commissure and at the
mammillary bodies.
"""
HYPOTHALAMUS = [(3, -2, -10), (3, -12, -8)]
"""Axis of the hypothalamus, MNI mm: no scale has a row for it; it is counted with the thalamus."""
CALLOSUM_MM = 16.0
"""Distance from the midline, mm, up to which white matter is corpus callosum."""
CALLOSUM_SPREAD = 0.4
"""How far it spreads along y and z for each mm from the midline, mm."""
CALLOSUM_BOX = ((-48.0, 38.0), (0.0, 34.0))
"""Range of y and of z, mm, in which the corpus callosum crosses the midline."""
PERIVENTRICULAR_MM, JUXTACORTICAL_MM, DEEP_MM = 13.0, 4.0, 10.0
"""Distance from a lateral ventricle up to which white matter is periventricular, and from the cortex up to which it is
juxtacortical (Kim 2008, doi:10.1016/j.biopsych.2008.03.024); from the cortex beyond which it is deep in any case.
"""
INTERNAL_MM, EXTERNAL_MM = 15.0, 3.0
"""Largest sum of the distances to the nuclei on both sides of the internal capsule; largest distance from the putamen
of the external capsule, claustrum and extreme capsule with it; mm.
"""
INSULA_MM, INSULA_END_MM = 9.0, 12.0
"""Distance from the putamen within which cortex beside it is insula for sure, and beyond which none is, mm."""
RIBBON_MM = 3.0
"""Distance from a lateral ventricle up to which grey matter is no cortex, mm."""
SMOOTH_MM = 0.8
"""Width of the Gaussian within which the most frequent label wins, mm."""
MARGIN_MM = 8.0
"""Layer around the brain that takes the label of the nearest region, mm."""


class Half:
    """The right half of the template, on 1 mm."""

    def __init__(self) -> None:
        stored = {
            "t1": datasets.load_mni152_template(resolution=1),
            "gm": datasets.load_mni152_gm_template(resolution=1),
            "wm": datasets.load_mni152_wm_template(resolution=1),
        }
        affine = stored["t1"].affine
        self.first = round(-affine[0, 3])
        self.origin = np.array([0.0, affine[1, 3], affine[2, 3]])
        volumes = {k: np.asarray(v.get_fdata(), np.float32) for k, v in stored.items()}
        t1 = volumes["t1"] * (255 / volumes["t1"].max())
        self.edges = ndimage.gaussian_gradient_magnitude(t1, 0.8)[self.first :]
        self.t1 = t1[self.first :]
        self.gm, self.wm = (volumes[k][self.first :] / volumes[k].max() for k in ("gm", "wm"))
        # The third ventricle would be open in the half.
        self.brain = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 100, iterations=2))[self.first :]
        self.fluid = self.brain & (self.t1 < FLUID_T1)
        self.mm = np.stack(
            np.meshgrid(*[np.arange(n, dtype=np.float32) for n in self.t1.shape], indexing="ij")
        )
        self.mm += self.origin[:, None, None, None].astype(np.float32)

    def near(self, points: np.ndarray, radius: float) -> np.ndarray:
        """Return the voxels within a distance of points (n, 3)."""
        hit = np.ones(self.t1.shape, bool)
        index = np.clip(np.rint(points - self.origin).astype(int), 0, np.array(self.t1.shape) - 1)
        hit[tuple(index.T)] = False
        return ndimage.distance_transform_edt(hit) <= radius


def main() -> None:
    """Label the template and save the half."""
    half = Half()
    nuclei = grow_nuclei(half)
    parts = grow_parts(half, nuclei)
    lobes = grow_lobes(half, nuclei, parts == 1)
    labels = label_white_matter(half, nuclei, lobes, parts == 1)
    grey = half.gm >= half.wm
    labels[(parts == 2) & grey] = STRUCTURES["cerebellar cortex"].label
    labels[(parts == 2) & ~grey] = STRUCTURES["cerebellar white matter"].label
    labels[parts == 3] = STRUCTURES["brainstem"].label
    labels = without_specks(labels, half.brain & ~half.fluid)
    around = ndimage.distance_transform_edt(~half.brain) <= MARGIN_MM
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    filled = np.where(around, labels[tuple(nearest)], 0).astype(np.uint8)
    affine = np.eye(4)
    affine[:3, 3] = half.origin
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(filled))
    affine[1:3, 3] += [box[1].start, box[2].start]
    box = (slice(0, box[0].stop), *box[1:])
    np.savez_compressed(HERE / "icbm152_regions.npz", affine=affine, labels=filled[box])


def without_specks(labels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the labels that hold most of each voxel's surroundings; 0 outside."""
    best, found = np.zeros(labels.shape, np.float32), np.zeros_like(labels)
    for value in np.unique(labels[inside & (labels > 0)]):
        # The template is symmetric: what lies beyond the midline is its mirror image.
        share = ndimage.gaussian_filter((labels == value).astype(np.float32), SMOOTH_MM, mode="mirror")
        better = inside & (share > best)
        best[better], found[better] = share[better], value
    return found


def grow_nuclei(half: Half) -> np.ndarray:
    """Return the labels of the deep nuclei: watershed of the T1 template's edges."""
    markers = np.zeros(half.t1.shape, np.int32)
    outside = 100
    markers[half.t1 < 125] = outside
    markers[(half.wm > 0.94) & (half.t1 > 205)] = outside + 1
    for number, (radius, axis) in enumerate(OTHERS, 2):
        markers[half.near(line(axis), radius)] = outside + number
    for name, (radius, *axes) in AXES.items():
        for axis in axes:
            markers[half.near(line(axis), radius if len(axis) > 2 else 1.0)] = STRUCTURES[name].label
    grown = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(half.edges), sitk.GetImageFromArray(markers), markWatershedLine=False
    )
    labels = sitk.GetArrayFromImage(grown)
    labels[labels >= outside] = 0
    # The septum between the ventricles, and thin sheets, are no nuclei.
    kept = np.zeros_like(labels)
    for name in AXES:
        own = ndimage.binary_opening(labels == STRUCTURES[name].label, iterations=1)
        own[:2] &= name == "thalamus"
        parts, _ = ndimage.label(own)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        kept[parts == sizes.argmax()] = STRUCTURES[name].label
    # The thalamus's lateral nuclei are nearly as bright as the capsule beside them: the edge is found 1 mm too early.
    thalamus = STRUCTURES["thalamus"].label
    kept[(kept == 0) & ~half.fluid & ndimage.binary_dilation(kept == thalamus)] = thalamus
    return kept


def grow_parts(half: Half, nuclei: np.ndarray) -> np.ndarray:
    """Return 1 cerebrum, 2 cerebellum, 3 brainstem, 0 outside the brain."""
    cost = 1 + (FLUID_COST - 1) * np.clip((TISSUE_T1 - half.t1) / (TISSUE_T1 - FLUID_T1), 0, 1)
    seeds = np.zeros(half.t1.shape, np.int32)
    for region, points in landmarks().items():
        part = {"cerebellum": 2, "brainstem": 3}.get(region, 1)
        seeds[half.near(points, SEED_MM) & ~half.fluid] = part
    seeds[nuclei > 0] = 1
    seeds[half.near(line(BRAINSTEM_AXIS), SEED_MM)] = 3
    seeds[half.near(line(HYPOTHALAMUS), 2.0)] = 1
    parts = grow(seeds, cost, half.brain)
    (y0, z0), (y1, z1) = BRAINSTEM_TOP
    above = half.mm[2] > z0 + (half.mm[1] - y0) * (z1 - z0) / (y1 - y0)
    parts[(parts == 3) & above] = 1
    return parts


def grow_lobes(half: Half, nuclei: np.ndarray, cerebrum: np.ndarray) -> np.ndarray:
    """Return the label of the cortex's lobe in the grey matter of the cerebrum outside the nuclei; 0 elsewhere."""
    cortex = cerebrum & (half.gm >= half.wm) & (nuclei == 0) & ~half.fluid
    # A ribbon of voxels that are half fluid, half white matter lines the ventricles above the temporal horn.
    cortex &= (distance(lateral_ventricles(half)) > RIBBON_MM) | (half.mm[2] < 0)
    cost = np.where(half.gm >= half.wm, 1, WHITE_COST)
    cost = np.where(half.fluid, FLUID_COST, np.where(nuclei > 0, NUCLEUS_COST, cost))
    seeds = np.zeros(half.t1.shape, np.int32)
    for region, points in landmarks().items():
        name = {"insula": "insular cortex"}.get(region, f"{region} cortex")
        if name in STRUCTURES:
            seeds[half.near(points, SEED_MM) & cortex] = STRUCTURES[name].label
    for lobe, axis in GYRI:
        seeds[half.near(line(axis), SEED_MM) & cortex] = STRUCTURES[f"{lobe} cortex"].label
    beside = outside_putamen(half, nuclei)
    seeds[cortex & beside & (distance(nuclei == STRUCTURES["putamen"].label) < INSULA_MM)] = STRUCTURES[
        "insular cortex"
    ].label
    seeds[half.near(line(HYPOTHALAMUS), 2.0)] = STRUCTURES["thalamus"].label
    lobes = grow(seeds, cost, cerebrum)
    lobes[~cortex] = 0
    insula = STRUCTURES["insular cortex"].label
    far = (lobes == insula) & (distance(nuclei == STRUCTURES["putamen"].label) > INSULA_END_MM)
    others = np.where(np.isin(lobes, [0, insula, STRUCTURES["thalamus"].label]), 0, lobes)
    nearest = ndimage.distance_transform_edt(others == 0, return_distances=False, return_indices=True)
    lobes[far] = others[tuple(nearest)][far]
    return lobes


def outside_putamen(half: Half, nuclei: np.ndarray) -> np.ndarray:
    """Return the voxels whose nearest point of the putamen lies nearer to the midline, at about their height."""
    putamen = nuclei == STRUCTURES["putamen"].label
    nearest = ndimage.distance_transform_edt(~putamen, return_distances=False, return_indices=True)
    x, y, z = half.mm - np.stack([half.mm[k][tuple(nearest)] for k in range(3)])
    return (x > 0) & (np.hypot(y, z) <= 1.5 * x)


def label_white_matter(half: Half, nuclei: np.ndarray, lobes: np.ndarray, cerebrum: np.ndarray) -> np.ndarray:
    """Return the labels of the cerebrum, white matter told apart by distances."""
    label = {name: s.label for name, s in STRUCTURES.items()}
    names = {s.label: name for name, s in STRUCTURES.items()}
    labels = np.where(nuclei > 0, nuclei, lobes)
    white = cerebrum & (labels == 0) & ~half.fluid
    cortex = (lobes > 0) & (lobes != label["thalamus"])
    cortex_mm, nearest = ndimage.distance_transform_edt(~cortex, return_indices=True)
    of_lobe = lobes[tuple(nearest)]
    for value in np.unique(of_lobe[white]):
        labels[white & (of_lobe == value)] = label[names[int(value)].replace("cortex", "white matter")]
    ventricle_mm = distance(lateral_ventricles(half))
    periventricular = (ventricle_mm <= PERIVENTRICULAR_MM) & (cortex_mm > JUXTACORTICAL_MM)
    labels[white & (periventricular | (cortex_mm > DEEP_MM))] = label["deep white matter"]
    labels[white & callosum(half)] = label["corpus callosum"]
    medial = np.isin(nuclei, [label["caudate nucleus"], label["thalamus"]])
    lateral = np.isin(nuclei, [label["putamen"], label["pallidum"]])
    labels[white & between(half, medial, lateral, INTERNAL_MM)] = label["internal capsule"]
    insula = lobes == label["insular cortex"]
    beside = distance(nuclei == label["putamen"]) <= EXTERNAL_MM
    labels[(white | insula) & beside & outside_putamen(half, nuclei)] = label["external capsule"]
    return labels


def lateral_ventricles(half: Half) -> np.ndarray:
    """Return the fluid of the lateral ventricle: what is connected to its body inside the brain."""
    inside = half.fluid & (ndimage.distance_transform_edt(half.brain) > 20) & (half.mm[0] > 1)
    core = ndimage.binary_erosion(inside, iterations=1)
    parts, _ = ndimage.label(core)
    body = parts[tuple(np.rint(np.array([10, -10, 22]) - half.origin).astype(int))]
    if not body:
        raise ValueError(
            "no fluid in the body of the lateral ventricle; expected the ICBM152 2009a T1 template"
        )
    return ndimage.binary_dilation(parts == body, iterations=1) & inside


def callosum(half: Half) -> np.ndarray:
    """Return white matter beside the midline's corpus callosum: it spreads as it leaves the midline."""
    (y0, y1), (z0, z1) = CALLOSUM_BOX
    box = (half.mm[1] > y0) & (half.mm[1] < y1) & (half.mm[2] > z0) & (half.mm[2] < z1)
    middle, _ = ndimage.label((half.wm[0] > 0.5) & box[0])
    sizes = np.bincount(middle.ravel())
    sizes[0] = 0
    away = distance(middle == sizes.argmax())
    return (half.wm > 0.5) & (half.mm[0] <= CALLOSUM_MM) & (away[None] <= 0.5 + CALLOSUM_SPREAD * half.mm[0])


def between(half: Half, one: np.ndarray, other: np.ndarray, sum_mm: float) -> np.ndarray:
    """Return the voxels between two structures: the nearest points of both lie on opposite sides."""
    towards, total = [], np.zeros(half.t1.shape)
    for structure in (one, other):
        away, nearest = ndimage.distance_transform_edt(~structure, return_indices=True)
        total += away
        towards.append(np.stack([half.mm[k][tuple(nearest)] for k in range(3)]) - half.mm)
    return ((towards[0] * towards[1]).sum(axis=0) < 0) & (total <= sum_mm)


def grow(seeds: np.ndarray, cost: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return for each voxel inside the label of the seed with the cheapest way to it."""
    number = np.full(seeds.shape, -1, np.int32)
    number[inside] = np.arange(inside.sum())
    rows, columns, weights = [], [], []
    steps = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) > (0, 0, 0)]
    for step in steps:
        here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, seeds.shape, strict=True))
        there = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(step, seeds.shape, strict=True))
        both = (number[here] >= 0) & (number[there] >= 0)
        rows.append(number[here][both])
        columns.append(number[there][both])
        weights.append((0.5 * np.linalg.norm(step) * (cost[here] + cost[there])[both]).astype(np.float32))
    count = int(inside.sum())
    graph = coo_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    ).tocsr()
    starts = number[inside & (seeds > 0)]
    _, _, sources = dijkstra(graph, directed=False, indices=starts, min_only=True, return_predecessors=True)
    labels = np.zeros(seeds.shape, np.int32)
    labels[inside] = np.where(sources >= 0, seeds[inside][sources], 0)
    return labels


def landmarks() -> dict[str, np.ndarray]:
    """Return the published landmarks by region, those of the left mirrored to the right."""
    found: dict[str, list[list[float]]] = {}
    for row in (HERE / "landmarks.tsv").read_text().splitlines()[1:]:
        region, _, _, x, y, z = row.split("\t")
        found.setdefault(region, []).append([abs(float(x)), float(y), float(z)])
    return {region: np.array(points) for region, points in found.items()}


def line(points: list[tuple[float, float, float]]) -> np.ndarray:
    """Return points along a line through points."""
    ends = np.array(points, float)
    steps = np.linspace(0, 1, 40)[:, None]
    return np.concatenate([a + (b - a) * steps for a, b in pairwise(ends)])


def distance(where: np.ndarray) -> np.ndarray:
    """Return the distance to a structure, mm."""
    return ndimage.distance_transform_edt(~where)


if __name__ == "__main__":
    main()
