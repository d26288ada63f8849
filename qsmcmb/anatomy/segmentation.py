"""A user's segmentation on a scan's grid: FreeSurfer's numbers become structures, sides and a midplane.

The image may have another grid than the scan, as that of a T1-weighted image has. Its affine says where its voxels lie
in the scanner; the scan's voxels take the label of the nearest one. Nothing is registered: the two images must lie on
each other. White matter is divided on the segmentation's own grid, before (`white_matter`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.anatomy.head_regions import MIDLINE_MM, RIGHT, HeadRegions
from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.anatomy.segmentation_labels import SEGMENTATION_LABELS, VENTRICLES
from qsmcmb.anatomy.white_matter import name_white_matter
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.midplane import Midplane
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.frame import corner_distance_mm, describe_box, describe_image_box, frame_limit_mm
from qsmcmb.io.labels import whole_numbers
from qsmcmb.io.nifti import Volume, read_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("Segmentation", "fill_lobes", "labelled_box", "read_segmentation")

SCHEME = (
    "labels of FreeSurfer, FastSurfer or SynthSeg: aseg (2 to 85, 251 to 255), Desikan-Killiany (1000 to 1035 and 2000 "
    "to 2035), wmparc (3000 to 3035 and 4000 to 4035)"
)
"""The numbers that are known, in words."""
MAX_NAMED = 6
"""Unknown numbers that a message names: more are counted."""
DESTRIEUX = range(11100, 12176)
"""Numbers of another atlas of the cortex that FreeSurfer writes beside Desikan and Killiany's."""
LEFT_SIDE, RIGHT_SIDE = 1, 2
"""What stands for the sides of labels."""
CORTEX, WHITE = (STRUCTURES[n].label for n in ("cerebral cortex", "cerebral white matter"))
"""Labels whose lobe a segmentation without gyri leaves open."""


class Segmentation(NamedTuple):
    """A segmentation on a scan's grid.

    Parameters
    ----------
    path : Path
        Its file.
    regions : HeadRegions
        Structures of the head.
    notes : tuple of str
        What the user must know of it.

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> nothing = np.zeros(grid.shape, np.int32)
    >>> Segmentation(Path("a.nii"), HeadRegions(nothing, nothing > 0, grid, None, None), ()).has_lobes
    True
    """

    path: Path
    regions: HeadRegions
    notes: tuple[str, ...]

    @property
    def has_lobes(self) -> bool:
        """Whether the lobe of all cortex and white matter is known."""
        return not np.isin(self.regions.labels % RIGHT, (CORTEX, WHITE)).any()


def read_segmentation(path: Path, grid: Grid, *, whole_brain: bool = True) -> Segmentation:
    """Read a segmentation and bring it onto a scan's grid.

    Parameters
    ----------
    path : Path
        NIfTI image with labels of FreeSurfer, FastSurfer or SynthSeg, in the scanner space of the scan.
    grid : Grid
        The scan's geometry.
    whole_brain : bool, optional
        Whether cortex and white matter of both sides must be there: without them a lesion's territory is unknown.

    Returns
    -------
    Segmentation
        Structures by the nearest voxel of the segmentation.

    Raises
    ------
    InvalidInputError
        SEGMENTATION for unknown labels, missing parts of the brain, sides that are swapped, or a place that the scan
        does not show; LABELS for values that are no labels; every gate of `read_volume`.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.nifti import save_volume
    >>> grid = Grid.isotropic((16, 8, 8), 2.0)
    >>> labels = np.full(grid.shape, 13)
    >>> labels[8:] = 52
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "aseg.nii", labels, grid.affine)
    ...     found = read_segmentation(Path(folder) / "aseg.nii", grid, whole_brain=False)
    >>> place, = found.regions.locate(np.array([[10.0, 0.0, 0.0]]))
    >>> place.side, place.structure.name
    ('right', 'pallidum')
    """
    volume = read_volume(_image(path))
    numbers, native = _numbers_of(path, volume, grid)
    _check_scheme(path, numbers, whole_brain=whole_brain)
    box = bounding_box(np.ascontiguousarray(numbers > 0))
    numbers = numbers[box]
    x, y, z = numbers.shape
    native = native.cropped((box[0].start, box[1].start, box[2].start), (x, y, z))
    structures = _table({n: s.structure.label if s.structure else 0 for n, s in SEGMENTATION_LABELS.items()})[
        numbers
    ]
    plane = _midplane(path, numbers, structures, native)
    named = name_white_matter(structures, np.isin(numbers, VENTRICLES), native, midplane=plane)
    named += np.where(named > 0, RIGHT * _is_right(numbers, native, plane), 0)
    regions = HeadRegions(
        _on_grid(named, native, grid), np.abs(_distance_mm(grid, plane)) < MIDLINE_MM, grid, None, None
    )
    if not regions.labels.any():
        raise InvalidInputError(
            "SEGMENTATION", path, field="place of the labels",
            found=f"{labelled_box(named > 0, native)}, outside the image",
            expected=f"labels within the scan's image, {describe_image_box(grid.affine, grid.shape)}",
            fix="register the segmentation's image to the scan, and write the segmentation in the scan's space",
        )  # fmt: skip
    return Segmentation(path, regions, tuple(f"{path.name}: {w}" for w in volume.warnings))


def fill_lobes(regions: HeadRegions, by_template: HeadRegions) -> HeadRegions:
    """Take the lobe of cortex and white matter from the template where a segmentation leaves it open.

    Parameters
    ----------
    regions : HeadRegions
        Structures of a segmentation.
    by_template : HeadRegions
        Structures by the template, on the same grid.

    Returns
    -------
    HeadRegions
        The same, with the nearest lobe of the template in place of an open one.

    Examples
    --------
    >>> grid = Grid.isotropic((4, 4, 4), 1.0)
    >>> one, other = np.full((2, *grid.shape), STRUCTURES["cerebral cortex"].label, np.int32)
    >>> other[:] = STRUCTURES["frontal white matter"].label
    >>> filled = fill_lobes(*(HeadRegions(n, n < 0, grid, None, None) for n in (one, other)))
    >>> list(STRUCTURES)[filled.labels[0, 0, 0] - 1]
    'frontal cortex'
    """
    structures = regions.labels % RIGHT
    open_ = np.isin(structures, (CORTEX, WHITE))
    cortex, white = np.zeros((2, len(STRUCTURES) + 1), np.int32)
    for kind, table in (("cortex", cortex), ("white matter", white)):
        for lobe in ("frontal", "parietal", "temporal", "occipital", "insular"):
            for given in ("cortex", "white matter"):
                table[STRUCTURES[f"{lobe} {given}"].label] = STRUCTURES[f"{lobe} {kind}"].label
    of_template = by_template.labels % RIGHT
    known = cortex[of_template] > 0
    if not known.any() or not open_.any():
        return regions
    nearest = ndimage.distance_transform_edt(
        ~known, regions.grid.voxel_size_mm, return_distances=False, return_indices=True
    )
    lobes = of_template[tuple(nearest[:, open_])]
    side = regions.labels[open_] - structures[open_]
    labels = regions.labels.copy()
    labels[open_] = np.where(structures[open_] == CORTEX, cortex[lobes], white[lobes]) + side
    return regions._replace(labels=labels)


def labelled_box(where: BoolArray, grid: Grid) -> str:
    """Return the box that holds all voxels of a mask, in words.

    Parameters
    ----------
    where : ndarray of shape grid.shape, bool
        The mask, not empty.
    grid : Grid
        Geometry.

    Returns
    -------
    str
        Its ends along each axis, scanner mm.

    Examples
    --------
    >>> labelled_box(np.ones((11, 11, 11), bool), Grid.isotropic((11, 11, 11), 1.0))
    'x -5 to 5, y -5 to 5, z -5 to 5 mm'
    """
    return describe_box(grid.to_world(np.argwhere(where).astype(float)))


def _image(path: Path) -> Path:
    """Return the path of a NIfTI image."""
    if path.suffix in (".mgz", ".mgh"):
        raise InvalidInputError(
            "SEGMENTATION", path, field="format", found=path.suffix, expected="NIfTI, .nii or .nii.gz",
            fix=f"mri_convert {path.name} {path.stem}.nii.gz",
        )  # fmt: skip
    return path


def _numbers_of(path: Path, volume: Volume, grid: Grid) -> tuple[IntArray, Grid]:
    """Return the numbers of an image with its geometry; an image without orientation has the scan's."""
    shape = volume.data.shape
    if len(shape) != 3:
        raise InvalidInputError(
            "SHAPE",
            path,
            field="shape",
            found=shape,
            expected="one volume",
            fix="give an image of one volume",
        )
    if volume.is_template or not (volume.oriented or shape == grid.shape):
        raise InvalidInputError(
            "SEGMENTATION", path, field="coordinates",
            found=f"those of a template ({volume.frame})" if volume.is_template else "none stated by the header",
            expected="those of the scanner, in which the scan lies",
            fix="give the segmentation in the space of the participant, not of a template; where its axes are right, "
            "set qform_code and sform_code to 1",
        )  # fmt: skip
    x, y, z = shape
    native = Grid.from_affine((x, y, z), volume.affine) if volume.oriented else grid
    same = shape == grid.shape and corner_distance_mm(native.affine, grid.affine, shape) < frame_limit_mm(
        grid.affine
    )
    return whole_numbers(path, volume.values(), outside="the brain"), grid if same else native


def _check_scheme(path: Path, numbers: IntArray, *, whole_brain: bool) -> None:
    """Raise for numbers that are not known, and where parts of the brain are missing that must be there."""
    there = [int(n) for n in np.unique(numbers) if n > 0]
    unknown = [n for n in there if n not in SEGMENTATION_LABELS]
    if unknown or not there:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        fix = "give aparc+aseg.mgz, aparc.DKTatlas+aseg.deep.mgz or SynthSeg's output as NIfTI"
        if set(unknown) & set(DESTRIEUX):
            fix = "give aparc+aseg.mgz in place of aparc.a2009s+aseg.mgz, as NIfTI"
        raise InvalidInputError(
            "SEGMENTATION", path, field="labels",
            found=f"{', '.join(map(str, unknown[:MAX_NAMED]))}{more}" if unknown else "none: 0 everywhere",
            expected=SCHEME, fix=fix,
        )  # fmt: skip
    if not whole_brain:
        return
    found = {(s.side, s.structure.name.rpartition(" ")[2]) for s in map(SEGMENTATION_LABELS.__getitem__, there)
             if s.structure and s.structure.territory == "lobar"}  # fmt: skip
    needed = [(side, kind) for side in ("left", "right") for kind in ("cortex", "matter")]
    missing = [f"{kind} on the {side}" for side, kind in needed if (side, kind) not in found]
    if missing:
        raise InvalidInputError(
            "SEGMENTATION", path, field="labels",
            found="no " + ", no ".join(missing).replace("matter", "white matter"),
            expected=f"the whole brain, in {SCHEME}",
            fix="give a segmentation of the whole brain: in a part of it a lesion's nearest structure is not its own",
        )  # fmt: skip


def _table(values: dict[int, int]) -> IntArray:
    """Return a table from the numbers of a segmentation to other ones, 0 where there is none."""
    table = np.zeros(max(SEGMENTATION_LABELS) + 1, np.int32)
    table[list(values)] = list(values.values())
    return table


def _sides(numbers: IntArray) -> IntArray:
    """Return the side of each voxel by its number; 0 for a label of both sides."""
    words = {"left": LEFT_SIDE, "right": RIGHT_SIDE, None: 0}
    return np.asarray(_table({n: words[s.side] for n, s in SEGMENTATION_LABELS.items()})[numbers])


def _midplane(path: Path, numbers: IntArray, structures: IntArray, native: Grid) -> Midplane:
    """Return the plane half way between the structures of both sides.

    Raises
    ------
    InvalidInputError
        SEGMENTATION: what is called left lies on the scanner's right.
    """
    sides = _sides(numbers)
    left, right = (
        _centres(np.where(sides == side, structures, 0), native) for side in (LEFT_SIDE, RIGHT_SIDE)
    )
    both = np.isfinite(left).all(axis=1) & np.isfinite(right).all(axis=1)
    if not both.any():
        middle = native.to_world(np.argwhere(numbers > 0).mean(axis=0))
        return Midplane(np.array([1.0, 0.0, 0.0]), float(middle[0]))
    normal = (right - left)[both].sum(axis=0)
    normal /= np.linalg.norm(normal)
    if normal[0] <= 0:
        raise InvalidInputError(
            "SEGMENTATION", path, field="sides", found="structures of the left on the scanner's right",
            expected="left labels at smaller x than right ones (RAS+)",
            fix="write the segmentation again with the affine of the image that it was made from",
        )  # fmt: skip
    return Midplane(normal, float(((left + right)[both] / 2).mean(axis=0) @ normal))


def _centres(labels: IntArray, grid: Grid) -> FloatArray:
    """Return the centre of each structure, scanner mm (n, 3); NaN for those without voxels."""
    numbers = np.arange(1, len(STRUCTURES) + 1)
    there = np.isin(numbers, labels)
    centres = np.full((len(numbers), 3), np.nan)
    if there.any():
        centres[there] = grid.to_world(np.array(ndimage.center_of_mass(labels > 0, labels, numbers[there])))
    return centres


def _is_right(numbers: IntArray, grid: Grid, plane: Midplane) -> IntArray:
    """Return 1 for voxels of the right side: by the label, or by the plane for labels of both sides."""
    sides = _sides(numbers)
    return np.where(sides == 0, _distance_mm(grid, plane) > 0, sides == RIGHT_SIDE).astype(np.int32)


def _distance_mm(grid: Grid, plane: Midplane) -> FloatArray:
    """Return the distance of each voxel from the plane, mm, positive on the right."""
    slopes = plane.normal @ np.asarray(grid.affine)[:3, :3]
    i, j, k = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij", sparse=True)
    start = float(plane.normal @ np.asarray(grid.affine)[:3, 3]) - plane.offset_mm
    return np.asarray(slopes[0] * i + slopes[1] * j + slopes[2] * k + start, dtype=np.float32)


def _on_grid(labels: IntArray, native: Grid, grid: Grid) -> IntArray:
    """Return labels by the nearest voxel; 0 outside."""
    step = np.linalg.inv(native.affine) @ np.asarray(grid.affine)
    found = ndimage.affine_transform(
        labels, step[:3, :3], step[:3, 3], output_shape=grid.shape, order=0, mode="constant", cval=0
    )
    return np.asarray(found, dtype=np.int32)
