"""The frame of an image: from voxel indices to the scanner's mm, by qform, sform and what their codes say.

Positions, voxel size and the direction of B0 all come from the one affine that is chosen here.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.io.nifti_header import fail
from qsmcmb.typing import FloatArray

__all__ = (
    "Frame",
    "compare_frames",
    "corner_distance_mm",
    "describe_box",
    "describe_image_box",
    "find_frame",
    "frame_limit_mm",
)

CODES = ("unknown", "scanner", "aligned", "Talairach", "MNI", "template")
"""Meaning of qform_code and sform_code, by number."""
SCANNER, ALIGNED = 1, 2
"""Codes of the scanner's coordinates, and of another image's; programs also write the second for the scanner's."""
SILENT_MM = 0.1
"""Distance of two frames at the corners that needs no word, mm: rounding of float32 and of quaternions."""
LIMIT_MM = 1.0
"""Largest distance of two frames at the corners that count as one, mm; for small voxels half a voxel."""
MAX_SHEAR_DEGREES = 0.5
"""Largest deviation of the angle between two voxel axes from 90 degrees: no scanner writes a sheared grid."""
MIN_DETERMINANT = 0.05
"""Least determinant of the unit vectors along the voxel axes that counts as invertible."""


class Frame(NamedTuple):
    """Frame of an image.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        Voxel indices to mm.
    name : str
        Form and meaning of its code, e.g. ``"sform (scanner)"``; empty where the header states none.
    is_template : bool
        Whether the coordinates are a template's, in which the scanner's axes are unknown.
    notes : tuple of str
        What the user must know of it.

    Examples
    --------
    >>> Frame(np.eye(4), "sform (scanner)", is_template=False, notes=()).name
    'sform (scanner)'
    """

    affine: FloatArray
    name: str
    is_template: bool
    notes: tuple[str, ...]


class _Form(NamedTuple):
    """One of the header's two forms, where its code says that it means something."""

    kind: str
    code: int
    affine: FloatArray

    @property
    def name(self) -> str:
        return f"{self.kind} ({CODES[self.code]})"


def find_frame(path: Path, header: Any, *, scale: float, shape: tuple[int, ...]) -> Frame:
    """Return the frame of an image: the scanner's, where one of the forms says that it is.

    Parameters
    ----------
    path : Path
        The file, for messages.
    header : nibabel.Nifti1Header or nibabel.Nifti2Header
        Its header.
    scale : float
        Factor from the header's length unit to mm.
    shape : tuple of int
        Voxels of the image.

    Returns
    -------
    Frame
        In mm.

    Raises
    ------
    InvalidInputError
        HEADER for an unknown code, ORIENT for a form that can't be inverted, FRAME where both forms claim to be the
        scanner's and differ, or the form is sheared or contradicts the voxel size.

    Examples
    --------
    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4))
    >>> find_frame(Path("a.nii"), image.header, scale=1.0, shape=image.shape).name
    'sform (aligned)'
    """
    forms = _coded_forms(path, header, scale)
    if not forms:
        return Frame(np.array(header.get_base_affine(), dtype=np.float64), "", is_template=False, notes=())
    chosen, notes = _choose(path, forms, shape)
    _check_shear(path, chosen)
    if len(forms) == 1:
        _check_voxel_size(path, chosen, np.asarray(header["pixdim"][1:4], float) * scale, shape)
    return Frame(chosen.affine, chosen.name, is_template=chosen.code > ALIGNED, notes=notes)


def _coded_forms(path: Path, header: Any, scale: float) -> list[_Form]:
    """Return the forms whose code isn't 0, sform first, in mm."""
    forms = []
    for kind, read in (("sform", _sform), ("qform", _qform)):
        code = int(header[f"{kind}_code"])
        if not 0 <= code < len(CODES):
            raise fail(
                "HEADER", path, f"{kind}_code", code, expected="0 to 5",
                fix=f"set {kind}_code to 1 if it is the scanner's frame, else to 0",
            )  # fmt: skip
        if code:
            affine = read(header)
            affine[:3] *= scale
            _check_invertible(path, kind, affine)
            forms.append(_Form(kind, code, affine))
    return forms


def _sform(header: Any) -> FloatArray:
    return np.array(header.get_sform(), dtype=np.float64)


def _qform(header: Any) -> FloatArray:
    """Return the qform; NaN where its quaternion is none. A pixdim[0] of 0 stands for 1, as the standard says."""
    own = header.copy()
    if own["pixdim"][0] == 0:
        own["pixdim"][0] = 1
    try:
        return np.array(own.get_qform(), dtype=np.float64)
    except Exception:
        return np.full((4, 4), np.nan)


def _check_invertible(path: Path, kind: str, affine: FloatArray) -> None:
    size = np.linalg.norm(affine[:3, :3], axis=0)
    if (
        not np.all(np.isfinite(affine))
        or np.any(size < 1e-6)
        or abs(np.linalg.det(affine[:3, :3] / size)) < MIN_DETERMINANT
    ):
        raise fail(
            "ORIENT", path, kind, affine[:3].round(4).tolist(), expected="an invertible affine",
            fix=f"correct the header; where the other form is right, set {kind}_code to 0",
        )  # fmt: skip


def _choose(path: Path, forms: list[_Form], shape: tuple[int, ...]) -> tuple[_Form, tuple[str, ...]]:
    """Return the form that is the scanner's, and what must be said of the other."""
    ranked = sorted(forms, key=lambda form: form.code)
    first, last = ranked[0], ranked[-1]
    distance = corner_distance_mm(first.affine, last.affine, shape)
    if distance <= SILENT_MM:
        return first, ()
    both = f"{_describe(first)}; {_describe(last)}; up to {distance:.3g} mm apart at the corners"
    if distance < frame_limit_mm(first.affine) or first.code == SCANNER != last.code:
        return first, (f"qform and sform differ: {both}. {first.name} is used",)
    raise fail(
        "FRAME", path, "qform, sform", both, expected="one frame, or one whose code alone says scanner (1)",
        fix="set the code of the form that is not the scanner's to 0 (nibabel: image.set_sform(None, 0) or "
        "image.set_qform(None, 0)), and that of the other to 1",
    )  # fmt: skip


def _describe(form: _Form) -> str:
    """Return a form in words: voxel size, and the angle of its third axis to the scanner's nearest axis."""
    size = np.linalg.norm(form.affine[:3, :3], axis=0)
    axes = np.degrees(np.arccos(np.minimum(1, np.abs(form.affine[:3, :3] / size).max(axis=0))))
    edges, tilts, origin = (
        ", ".join(f"{v:.4g}" for v in values) for values in (size, axes, form.affine[:3, 3])
    )
    return f"{form.name}: voxels {edges} mm, axes tilted by {tilts} degrees, first voxel at {origin} mm"


def _check_shear(path: Path, form: _Form) -> None:
    """Raise where the voxel axes are not at right angles."""
    axes = form.affine[:3, :3] / np.linalg.norm(form.affine[:3, :3], axis=0)
    cosines = np.abs(axes.T @ axes - np.eye(3)).max()
    shear = float(np.degrees(np.arcsin(min(1.0, cosines))))
    if shear > MAX_SHEAR_DEGREES:
        raise fail(
            "FRAME", path, form.name, f"axes sheared by {shear:.2g} degrees", expected="voxel axes at right angles",
            fix="give the image as the scanner wrote it: a sheared frame is that of a registration",
        )  # fmt: skip


def _check_voxel_size(path: Path, form: _Form, pixdim_mm: FloatArray, shape: tuple[int, ...]) -> None:
    """Raise where the only form and pixdim state voxels of another size."""
    size = np.linalg.norm(form.affine[:3, :3], axis=0)
    off = float((np.abs(size - pixdim_mm) * (np.array(shape[:3]) - 1)).max())
    if off >= frame_limit_mm(form.affine):
        raise fail(
            "FRAME", path, f"pixdim, {form.name}", f"{pixdim_mm.round(4).tolist()} mm, {size.round(4).tolist()} mm",
            expected="one voxel size", fix=f"correct pixdim or the {form.kind}: one of them was changed alone",
        )  # fmt: skip


def corner_distance_mm(one: FloatArray, two: FloatArray, shape: tuple[int, ...]) -> float:
    """Return the largest distance between the places that two affines give to the corners of a volume.

    Parameters
    ----------
    one, two : ndarray of shape (4, 4)
        Voxel indices to mm.
    shape : tuple of int
        Voxels of the volume.

    Returns
    -------
    float
        Distance, mm.

    Examples
    --------
    >>> turned = np.eye(4)
    >>> turned[0, 1] = 0.01
    >>> float(round(corner_distance_mm(np.eye(4), turned, (101, 101, 101)), 3))
    1.0
    """
    return float(np.linalg.norm((_corners(shape) @ (one - two).T)[:, :3], axis=1).max())


def describe_box(points_mm: FloatArray) -> str:
    """Return the box that holds some points, in words.

    Parameters
    ----------
    points_mm : ndarray of shape (n, 3)
        Points, mm, at least one.

    Returns
    -------
    str
        Its ends along each axis, rounded to mm.

    Examples
    --------
    >>> describe_box(np.array([[-90.2, 0.0, 7.0], [90.0, 1.0, 8.0]]))
    'x -90 to 90, y 0 to 1, z 7 to 8 mm'
    """
    ends = zip("xyz", points_mm.min(axis=0), points_mm.max(axis=0), strict=True)
    return ", ".join(f"{name} {low:.0f} to {high:.0f}" for name, low, high in ends) + " mm"


def describe_image_box(affine: FloatArray, shape: tuple[int, ...]) -> str:
    """Return the box that an image covers, in words.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        Voxel indices to mm.
    shape : tuple of int
        Voxels of the volume.

    Returns
    -------
    str
        Its ends along each axis, rounded to mm.

    Examples
    --------
    >>> describe_image_box(np.eye(4), (11, 21, 31))
    'x 0 to 10, y 0 to 20, z 0 to 30 mm'
    """
    return describe_box(_corners(shape) @ np.asarray(affine)[:3].T)


def _corners(shape: tuple[int, ...]) -> FloatArray:
    """Return the middles of the corner voxels of a volume, homogeneous, (8, 4)."""
    return np.array([(*corner, 1.0) for corner in product(*((0.0, n - 1.0) for n in shape[:3]))])


def frame_limit_mm(affine: FloatArray) -> float:
    """Return the distance at the corners from which two frames are two, mm.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        Voxel indices to mm.

    Returns
    -------
    float
        Half a voxel's shortest edge, at most 1 mm.

    Examples
    --------
    >>> float(frame_limit_mm(np.diag([0.5, 0.5, 2.0, 1.0])))
    0.25
    """
    return min(LIMIT_MM, 0.5 * float(np.linalg.norm(affine[:3, :3], axis=0).min()))


def compare_frames(
    path: Path, affine: FloatArray, expected: FloatArray, *, shape: tuple[int, ...], whose: str, fix: str
) -> float:
    """Return how far an image lies from where it should.

    Parameters
    ----------
    path : Path
        The image, for messages.
    affine, expected : ndarray of shape (4, 4)
        Its affine, and the one that is used.
    shape : tuple of int
        Voxels of both.
    whose : str
        Name of the image whose affine is used.
    fix : str
        What to do where they differ.

    Returns
    -------
    float
        Distance at the corners, mm; 0 where it is no more than rounding.

    Raises
    ------
    InvalidInputError
        AFFINE: half a voxel or 1 mm apart at a corner.

    Examples
    --------
    >>> compare_frames(Path("a.nii"), np.eye(4), np.eye(4), shape=(8, 8, 8), whose="b.nii", fix="export again")
    0.0
    """
    distance = corner_distance_mm(affine, expected, shape)
    if distance >= frame_limit_mm(expected):
        raise fail(
            "AFFINE", path, "affine",
            f"up to {distance:.3g} mm away from that of {whose} at the corners: {describe_image_box(affine, shape)}",
            expected=f"{describe_image_box(expected, shape)}, as {whose}", fix=fix,
        )  # fmt: skip
    return distance if distance > SILENT_MM else 0.0
