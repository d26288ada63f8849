"""Every problem of a scan's files at once, by the gates that `load_scan` goes through.

Each gate is tried on its own, so that one problem hides no other. Without `deep`, headers and sidecars are read and no
data: what only the values show (damaged streams, flat phase, a unit that the values contradict) is found with `deep`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.agreement import check_scan_agreement
from qsmcmb.io.assemble import common_grid
from qsmcmb.io.bids import Combine, load_session
from qsmcmb.io.bids_index import Image, SessionFiles
from qsmcmb.io.echo_times import check_echo_times
from qsmcmb.io.echoes import (
    COMPUTED,
    by_echo,
    check_channels,
    check_runs,
    echo_times_of,
    field_strength_of,
    sidecar_of,
    stated_units,
)
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.nifti import Volume, read_volume, read_volume_header
from qsmcmb.io.phase_scaling import check_unit_stated
from qsmcmb.io.volume_series import refuse_series

__all__ = ["ScanProblems", "find_problems"]

Meta = dict[str, Any]
"""Metadata of an image."""


class ScanProblems(NamedTuple):
    """Problems of one scan.

    Parameters
    ----------
    errors : tuple of InvalidInputError
        Each would end the scan's run.
    warnings : tuple of str
        What a run would assume or leave out, and say.

    Examples
    --------
    >>> ScanProblems((), ()).errors
    ()
    """

    errors: tuple[InvalidInputError, ...]
    warnings: tuple[str, ...]


class _Gates:
    """Gates that were tried, and the errors that they raised, each once."""

    def __init__(self) -> None:
        self._errors: dict[str, InvalidInputError] = {}

    def __call__(self, gate: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what a gate returns; None where it raises."""
        try:
            return gate(*arguments, **options)
        except InvalidInputError as error:
            self._errors.setdefault(str(error), error)
            return None

    @property
    def errors(self) -> tuple[InvalidInputError, ...]:
        """The errors, in the order in which they came."""
        return tuple(self._errors.values())


def find_problems(
    files: SessionFiles, options: InputOptions, *, deep: bool = False, combine: Combine | None = None
) -> ScanProblems:
    """Find every problem of a scan.

    Parameters
    ----------
    files : SessionFiles
        Images of the scan.
    options : InputOptions
        The user's word on the stored phase.
    deep : bool, optional
        Whether the data are read, too.
    combine : callable, optional
        Combination of receive channels, as for `load_session`.

    Returns
    -------
    ScanProblems
        Errors and warnings.

    Examples
    --------
    >>> find_problems(SessionFiles(Path("bids"), "01", None, images), InputOptions())  # doctest: +SKIP
    """
    gates, warnings = _Gates(), list(files.notes)
    gates(check_runs, files)
    gates(check_channels, files)
    for channel in dict.fromkeys(image.channel for image in files.images):
        images = tuple(image for image in files.images if image.channel == channel)
        warnings += _try_gates(gates, replace(files, images=images), None if deep else options)
    # What the data alone show makes sense once the rest is right.
    if deep and not gates.errors:
        scan = gates(load_session, files, options, combine=combine)
        warnings = list(scan.warnings) if scan is not None else warnings
    return ScanProblems(gates.errors, tuple(dict.fromkeys(warnings)))


def _try_gates(gates: _Gates, files: SessionFiles, options: InputOptions | None) -> list[str]:
    """Try the gates of the images of a scan, or of one channel; return what they notice and let pass.

    Without options the unit of phase is left to the data, which say more of it.
    """
    headers: dict[str, Volume] = {}
    metas: dict[str, Meta] = {}
    for image in files.images:
        if (header := gates(read_volume_header, image.path)) is not None:
            headers[image.path.name] = header
        if (meta := gates(sidecar_of, image, files.root)) is not None:
            metas[image.path.name] = meta
        # A list of echo times says what the volumes are; the values of phase do not.
        if header is not None and not isinstance((meta or {}).get("EchoTime"), list):
            gates(_check_single, header, image)
    volumes = list(headers.values())
    single = [volume for volume in volumes if volume.data.ndim == 3]
    for volume in single:
        gates(common_grid, [single[0], volume], None)
    _try_sidecars(gates, _echoes(gates, files), metas, headers, options)
    return [warning for volume in volumes for warning in volume.warnings]


def _check_single(header: Volume, image: Image) -> None:
    """Raise where a file holds several volumes: what they look like, the data say."""
    if header.data.ndim != 3:
        raise refuse_series(read_volume(image.path), image.entities, image.suffix)


def _echoes(gates: _Gates, files: SessionFiles) -> list[dict[str, Image]]:
    """Return part -> image for each echo that is complete."""
    numbers = [gates(lambda image=image: image.echo) for image in files.images]
    if None in numbers:
        return []
    whole: list[dict[str, Image]] | None = gates(by_echo, files)
    if whole is not None:
        return whole
    # What lacks has been said: the others are looked at all the same.
    silent = _Gates()
    found: list[dict[str, Image]] = []
    for number in sorted(set(numbers)):
        own = tuple(image for image in files.images if image.echo == number)
        found += silent(by_echo, replace(files, images=own)) or []
    return found


def _try_sidecars(
    gates: _Gates,
    echoes: Sequence[dict[str, Image]],
    metas: dict[str, Meta],
    headers: dict[str, Volume],
    options: InputOptions | None,
) -> None:
    """Try the gates of the sidecars of the echoes whose sidecars can all be read."""
    whole = [echo for echo in echoes if all(image.path.name in metas for image in echo.values())]
    if not whole:
        return
    stated = [{part: metas[image.path.name] for part, image in echo.items()} for echo in whole]
    for echo, meta in zip(whole, stated, strict=True):
        gates(echo_times_of, [echo], [meta])
    times = gates(echo_times_of, whole, stated)
    if times is not None:
        order = sorted(range(len(times)), key=lambda i: times[i].te_s)
        gates(
            check_echo_times,
            [times[i].te_s for i in order],
            [next(iter(whole[i].values())).path for i in order],
        )
    gates(field_strength_of, whole, stated)
    gates(
        check_scan_agreement,
        [(part, image.path, metas[image.path.name]) for echo in whole for part, image in echo.items()],
    )
    units = stated_units(stated)
    phase = [
        headers[image.path.name]
        for echo in whole
        for part, image in echo.items()
        if part == "phase" and image.path.name in headers
    ]
    if options is not None and units != COMPUTED and phase:
        gates(check_unit_stated, phase, units=units, options=options)
