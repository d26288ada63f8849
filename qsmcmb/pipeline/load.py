"""A scan of a BIDS data set, its receive channels combined where they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qsmcmb.core.morphology import dilate
from qsmcmb.errors import InvalidInputError
from qsmcmb.field_mapping.coils import combine_coils
from qsmcmb.io.bids import load_session, select_session
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.mask_values import Membership
from qsmcmb.io.points import Points
from qsmcmb.masking.brain import bright
from qsmcmb.microbleeds.detection.point_frame import check_point_frame
from qsmcmb.model import GreScan
from qsmcmb.unwrapping.romeo import unwrap_volume

__all__ = ["combine_channels", "load_scan", "with_user_input"]

AROUND_MM = 6.0
"""Distance from bright tissue up to which channels are aligned, mm: a mask that reaches further holds air."""


def load_scan(
    bids: str | Path | SessionFiles,
    *,
    participant: str | None = None,
    session: str | None = None,
    filters: Mapping[str, str] | None = None,
    phase_units: str | None = None,
    phase_range: tuple[float, float] | None = None,
    phase_sign: int | None = None,
    phase_filtered: bool | None = None,
) -> GreScan:
    """Load one scan of a BIDS data set.

    Parameters
    ----------
    bids : path or SessionFiles
        Folder of the data set, or one entry of `list_sessions`.
    participant : str, optional
        Label without `sub-`; needed where the data set has several.
    session : str, optional
        Label without `ses-`; needed where the participant has several.
    filters : mapping, optional
        Entities that must match, e.g. ``{"run": "1", "suffix": "MEGRE"}``: indices as numbers, labels exactly.
    phase_units : {"rad", "arbitrary"}, optional
        Unit of the stored phase, in place of the sidecars' `Units`.
    phase_range : tuple of float, optional
        Stored values that stand for -pi and pi.
    phase_sign : {1, -1}, optional
        -1 for phase that falls with a paramagnetic field; 1 by default.
    phase_filtered : bool, optional
        Whether the scanner has high-pass filtered the phase; by default the phase itself says so.

    Returns
    -------
    GreScan
        Phase in rad, echo times in s, by ascending echo time; sources are BIDS URIs.

    Raises
    ------
    InvalidInputError
        The code names the gate: DUP, PART, COILS, ECHO-RUNS, SIDECAR, ``TE-*``, TUNITS, B0, SHAPE, AFFINE, PHASUNITS,
        UNITS-MISSING ...
    NothingMatchedError
        NO-MATCH: the labels or filters select nothing.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.bids_writer import write_raw_scan
    >>> from qsmcmb.model import Grid
    >>> phase_rad = np.linspace(-3, 3, 512, dtype=np.float32).reshape(1, 8, 8, 8)
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> scan = GreScan(phase_rad=phase_rad, magnitude=phase_rad + 4, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_raw_scan(Path(folder), scan, "01", "1")
    ...     load_scan(folder, participant="01").te_s
    (0.02,)
    """
    files = bids
    if not isinstance(files, SessionFiles):
        files = select_session(files, participant=participant, session=session, filters=filters)
    stated = InputOptions(phase_units, phase_range, phase_sign, phase_filtered)
    return load_session(files, stated, combine=combine_channels)


def combine_channels(scans: Sequence[GreScan]) -> GreScan:
    """Combine the receive channels of a scan: phase without the channels' offsets, root sum of squares.

    Parameters
    ----------
    scans : sequence of GreScan
        The scan as each channel has received it, at least two.

    Returns
    -------
    GreScan
        The scan; its warnings say how many channels were combined.

    Raises
    ------
    InvalidInputError
        COILS for channels of different grids or echo times; ECHOES for one echo, which does not show their offsets.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> phase = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t, np.float32) for t in (0.005, 0.010)])
    >>> channels = [
    ...     GreScan(phase + offset, np.ones_like(phase), te_s=(0.005, 0.010), b0_tesla=3.0, grid=grid)
    ...     for offset in (0.5, -0.5)
    ... ]
    >>> bool(np.allclose(combine_channels(channels).phase_rad, phase, atol=1e-3))
    True
    """
    first, name = scans[0], scans[0].name
    for scan in scans[1:]:
        same = scan.te_s == first.te_s and scan.grid.shape == first.grid.shape
        if not same or not np.allclose(scan.grid.affine, first.grid.affine, atol=0.01):
            raise InvalidInputError(
                "COILS", name, field="channels", found="other echo times or another grid in one of them",
                expected="all channels of one acquisition", fix="give separate scans an acq- label in place of coil-",
            )  # fmt: skip
    magnitude = np.stack([s.magnitude for s in scans])
    square = np.sqrt((magnitude**2).sum(axis=0))
    mask = dilate(bright(square, first.grid), AROUND_MM, first.grid.voxel_size_mm) & (square[0] > 0)
    mask = mask if mask.any() else np.ones(first.grid.shape, bool)
    both = combine_coils(
        np.stack([s.phase_rad for s in scans]), magnitude, mask, first.grid, te_s=first.te_s,
        unwrapper=lambda p, m: unwrap_volume(p, m, mask),
    )  # fmt: skip
    said = f"{len(scans)} receive channels are combined (MCPC-3D-S)"
    return replace(
        first, phase_rad=both.phase_rad, magnitude=both.magnitude,
        sources=tuple(dict.fromkeys(source for scan in scans for source in scan.sources)),
        warnings=tuple(dict.fromkeys((said, *(w for scan in scans for w in scan.warnings)))),
        read_as={**first.read_as, "Channels": len(scans)},
    )  # fmt: skip


def with_user_input(
    scan: GreScan,
    *,
    points: Points | None,
    point_list: Path | None,
    mask: Membership | None,
    reference: Membership | None = None,
) -> GreScan:
    """Return the scan with what must be said of the user's points and masks among its warnings.

    Parameters
    ----------
    scan : GreScan
        The scan.
    points : Points or None
        Points of a reader, or the lesions of a label image.
    point_list : path or None
        List that the points come from, whose frame is checked; None for a label image, which has the scan's.
    mask : Membership or None
        Mask of the user.
    reference : Membership or None, optional
        Mask of the user for the reference of the map.

    Returns
    -------
    GreScan
        The same images.

    Raises
    ------
    InvalidInputError
        POINTS for a list whose points lie on lesions only when it is read in another frame.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> ones = np.ones((1, 8, 8, 8), np.float32)
    >>> scan = GreScan(0 * ones, ones, te_s=(0.02,), b0_tesla=3.0, grid=Grid.isotropic((8, 8, 8), 1.0))
    >>> given = Points(np.zeros((0, 3)), (), notes=("no points",))
    >>> with_user_input(scan, points=given, point_list=None, mask=None).warnings
    ('no points',)
    """
    notes = [note for given in (mask, reference, points) if given is not None for note in given.notes]
    if points is not None and point_list is not None:
        notes += check_point_frame(scan, points.points_mm, point_list)
    return replace(scan, warnings=(*scan.warnings, *notes))
