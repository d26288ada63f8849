"""One scan of a BIDS data set from its images and sidecars."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.assemble import assemble, combine_real_imaginary
from qsmcmb.io.bids_index import Image, SessionFiles, list_sessions
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
from qsmcmb.io.entities import natural_key
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.nifti import Volume, read_volume
from qsmcmb.io.phase_scaling import sign_notes
from qsmcmb.io.tables import read_tsv
from qsmcmb.io.volume_series import refuse_series
from qsmcmb.model import GreScan

__all__ = (
    "LAST_SHIFTED_YEAR",
    "TIME_FORM",
    "Combine",
    "acquisition_times",
    "faulty_times",
    "is_shifted",
    "load_session",
    "select_session",
)

Combine = Callable[[Sequence[GreScan]], GreScan]
"""Function that makes one scan of those of its receive channels."""
TIME_FORM = "2020-05-04T10:00:00"
"""An acquisition time as tables state it."""
LAST_SHIFTED_YEAR = 1925
"""Year up to which BIDS takes a date as shifted: between it and a true one lies no interval."""
SCANNER = ("Manufacturer", "ManufacturersModelName", "DeviceSerialNumber")
"""Keys of a sidecar that tell scanners apart: results state them, so that a study can be parted by scanner."""


def load_session(
    files: SessionFiles, stated: InputOptions | None = None, *, combine: Combine | None = None
) -> GreScan:
    """Load one scan from its files.

    Parameters
    ----------
    files : SessionFiles
        Images of the scan, an entry of `list_sessions`.
    stated : InputOptions, optional
        The user's word on the stored phase.
    combine : callable, optional
        Combination of uncombined receive channels; without it they are refused.

    Returns
    -------
    GreScan
        Phase in rad, echo times in s, by ascending echo time; sources are BIDS URIs.

    Raises
    ------
    InvalidInputError
        The code names the gate: DUP, PART, COILS, ECHO-RUNS, SIDECAR, TE-*, TUNITS, B0, SHAPE, AFFINE, PHASUNITS,
        UNITS-MISSING ...

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from qsmcmb.io.bids_writer import write_raw_scan
    >>> from qsmcmb.model import Grid
    >>> phase_rad = np.linspace(-3, 3, 512, dtype=np.float32).reshape(1, 8, 8, 8)
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> scan = GreScan(phase_rad=phase_rad, magnitude=phase_rad + 4, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_raw_scan(Path(folder), scan, "01", "1")
    ...     load_session(select_session(folder, participant="01")).te_s
    (0.02,)
    """
    stated = stated or InputOptions()
    check_runs(files)
    check_channels(files)
    channels = sorted({i.channel for i in files.images if i.channel is not None}, key=natural_key)
    if len(channels) < 2:
        alone = [f"channel {c} is the only one and stands for the scan" for c in channels]
        return _load(files, stated, [*files.notes, *alone])
    if combine is None:
        raise InvalidInputError(
            "COILS", files.images[0].path, field="coil", found=", ".join(channels), expected="combined images",
            fix="load the scan by qsmcmb.load_scan, which combines channels",
        )  # fmt: skip
    scans = []
    for channel in channels:
        images = tuple(i for i in files.images if i.channel == channel)
        scans.append(_load(dataclasses.replace(files, images=images), stated, files.notes))
    return combine(scans)


def _load(files: SessionFiles, stated: InputOptions, notes: Sequence[str]) -> GreScan:
    """Return a scan from combined images, or from those of one channel."""
    echoes = by_echo(files)
    metas = [{part: sidecar_of(image, files.root) for part, image in echo.items()} for echo in echoes]
    times = echo_times_of(echoes, metas)
    te_s = [t.te_s for t in times]
    order = sorted(range(len(te_s)), key=lambda i: te_s[i])
    makers = [meta.get("Manufacturer") for parts in metas for meta in parts.values()]
    warnings = [*notes, *(t.note for t in times if t.note), *sign_notes(makers, stated)]
    if order != list(range(len(te_s))):
        warnings.append("echo numbers and echo times disagree; sorted by echo time")
    echoes, metas, te_s = [echoes[i] for i in order], [metas[i] for i in order], [te_s[i] for i in order]
    paths = [next(iter(echo.values())).path for echo in echoes]
    check_echo_times(te_s, paths)
    numbers = [next(iter(echo.values())).echo for echo in echoes]
    missing = sorted(set(range(min(*numbers, 1), max(numbers))) - set(numbers)) if len(numbers) > 1 else []
    if missing:
        warnings.append(f"echoes {numbers} are there; the missing ones are left out")
    elif min(numbers) == 0:
        warnings.append("echo indices start at 0; BIDS counts from 1")
    units, b0 = stated_units(metas), field_strength_of(echoes, metas)
    magnitude, phase = _read(echoes)
    scan = assemble(
        phase, magnitude, te_s, b0, name=files.name, units=units, strict_units=True,
        options=_options(units, stated), warnings=warnings,
        image_types=[m["phase"].get("ImageType") for m in metas if "phase" in m],
    )  # fmt: skip
    root = files.root.as_posix().rstrip("/")
    sources = tuple(("bids::" + name.removeprefix(root + "/"), digest) for name, digest in scan.sources)
    scanner = {key: meta[key] for meta in metas[0].values() for key in SCANNER if meta.get(key)}
    converter = next(
        (m["ConversionSoftware"] for parts in metas for m in parts.values() if "ConversionSoftware" in m), ""
    )
    known = {"Scanner": scanner, "EchoesMissing": missing, "ConversionSoftware": converter}
    read_as = {**scan.read_as, **{key: value for key, value in known.items() if value}}
    return dataclasses.replace(scan, sources=sources, difference_te_s=times[0].pair_s, read_as=read_as)


def _options(units: object, stated: InputOptions) -> InputOptions:
    """Return the user's word on the phase; of phase computed from real and imaginary part the unit is known."""
    if units == COMPUTED:
        return dataclasses.replace(stated, phase_units="rad", phase_range=None)
    return stated


def select_session(
    bids: str | Path,
    *,
    participant: str | None = None,
    session: str | None = None,
    filters: Mapping[str, str] | None = None,
) -> SessionFiles:
    """Return the files of the one scan that the labels name.

    Parameters
    ----------
    bids : path
        Folder of the data set.
    participant, session : str, optional
        Labels without `sub-` and `ses-`.
    filters : mapping, optional
        Entities that must match.

    Returns
    -------
    SessionFiles
        The scan's images.

    Raises
    ------
    InvalidInputError
        DUP where several match.
    NothingMatchedError
        NO-MATCH where none does.

    Examples
    --------
    >>> select_session("bids", participant="01", filters={"run": "1"})  # doctest: +SKIP
    """
    found = list_sessions(
        bids, participants=[participant] if participant else (), sessions=[session] if session else (),
        filters=filters,
    )  # fmt: skip
    if len(found) > 1:
        raise InvalidInputError(
            "DUP", bids, field="selection", found=", ".join(f.name for f in found), expected="one scan",
            fix="name participant and session, and choose among scans by filters: run, acq, rec or suffix, with "
            "an empty value where the name lacks it",
        )  # fmt: skip
    return found[0]


def _read(echoes: Sequence[dict[str, Image]]) -> tuple[list[Volume], list[Volume]]:
    """Return the magnitude and phase volumes of all echoes."""
    magnitude, phase = [], []
    for echo in echoes:
        volumes = {part: read_volume(image.path) for part, image in echo.items()}
        # The magnitude tells more than the phase.
        for part in sorted(volumes):
            if volumes[part].data.ndim != 3:
                raise refuse_series(volumes[part], echo[part].entities, echo[part].suffix)
        if "phase" in volumes:
            magnitude.append(volumes["mag"])
            phase.append(volumes["phase"])
        else:
            m, p = combine_real_imaginary(volumes["real"], volumes["imag"])
            magnitude.append(m)
            phase.append(p)
    return magnitude, phase


def is_shifted(time: datetime) -> bool:
    """Say whether a date is shifted for privacy, by its year.

    Parameters
    ----------
    time : datetime
        Time of a scan.

    Returns
    -------
    bool
        Whether it is `LAST_SHIFTED_YEAR` or earlier.

    Examples
    --------
    >>> is_shifted(datetime(1905, 1, 10)), is_shifted(datetime(2021, 1, 1))
    (True, False)
    """
    return time.year <= LAST_SHIFTED_YEAR


def acquisition_times(root: Path, participant: str) -> dict[str, datetime]:
    """Return when a participant's sessions were acquired, where a table says.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    participant : str
        Label without `sub-`.

    Returns
    -------
    dict
        Session without `ses-` to its `acq_time` in sub-*_sessions.tsv, else in the session's scans.tsv; with a time
        zone where the table states one.

    Raises
    ------
    InvalidInputError
        TSV: a table that cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.tables import write_tsv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     subject = Path(folder) / "sub-01"
    ...     subject.mkdir()
    ...     row = {"session_id": "ses-1", "acq_time": "2020-05-04T10:00:00"}
    ...     write_tsv(subject / "sub-01_sessions.tsv", [row], ["session_id", "acq_time"])
    ...     acquisition_times(Path(folder), "01")
    {'1': datetime.datetime(2020, 5, 4, 10, 0)}
    """
    times: dict[str, datetime] = {}
    for session, text, _ in _stated_times(root, participant):
        with contextlib.suppress(ValueError):
            times.setdefault(session, datetime.fromisoformat(text))
    return times


def faulty_times(root: Path, participant: str, session: str | None) -> tuple[str, ...]:
    """Return a warning for each time of a session that is none.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    participant : str
        Label without `sub-`.
    session : str or None
        Label without `ses-`.

    Returns
    -------
    tuple of str
        Messages to the user: table, what it states, and the form that is expected.

    Raises
    ------
    InvalidInputError
        TSV: a table that cannot be read.

    Examples
    --------
    >>> faulty_times(Path("bids"), "01", "1")
    ()
    """
    found = []
    for name, text, table in _stated_times(root, participant):
        if name != (session or ""):
            continue
        try:
            datetime.fromisoformat(text)
        except ValueError:
            found.append(
                f"{table.name}: acq_time = {text!r}; expected date and time as {TIME_FORM}. It counts as missing"
            )
    return tuple(dict.fromkeys(found))


def _stated_times(root: Path, participant: str) -> Iterator[tuple[str, str, Path]]:
    """Yield session, what a table states as its time, and the table; sub-*_sessions.tsv comes first."""
    subject = root / f"sub-{participant}"
    for table in (subject / f"sub-{participant}_sessions.tsv", *sorted(subject.glob("ses-*/*_scans.tsv"))):
        for row in read_tsv(table) if table.is_file() else []:
            if row.get("acq_time"):
                session = row.get("session_id") or table.parent.name
                yield session.removeprefix("ses-"), str(row["acq_time"]), table
