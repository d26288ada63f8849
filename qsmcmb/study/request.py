"""The request of the last run, data set and options: with it `qsmcmb status` needs no more than OUT."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.reading import read_regular
from qsmcmb.io.tables import write_json
from qsmcmb.pipeline.config import make_config
from qsmcmb.study.manifest import FOLDER
from qsmcmb.study.options import StudyOptions

__all__ = ["Request", "read_request", "record_of_request", "request_of_record", "write_request"]

PATHS = ("points", "labels", "mask_root", "segmentation_root", "repeatability")
"""Options that are paths; a request of an earlier version lacks the last ones."""


class Request(NamedTuple):
    """Data set, options and work folder of a run.

    Parameters
    ----------
    bids : Path
        Data set.
    options : StudyOptions
        Selection, methods, points.
    work : Path or None
        Folder of intermediate results where the user has named one.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> Request(Path("bids"), StudyOptions(make_config()), None).bids.name
    'bids'
    """

    bids: Path
    options: StudyOptions
    work: Path | None


def write_request(out: Path, request: Request) -> None:
    """Write the request of a run to OUT/.qsmcmb/request.json.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    request : Request
        Data set and options.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.pipeline.config import make_config
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_request(Path(folder), Request(Path("bids"), StudyOptions(make_config(), participants=("01",)), None))
    ...     read_request(Path(folder)).options.participants
    ('01',)
    """
    (out / FOLDER).mkdir(exist_ok=True)
    write_json(out / FOLDER / "request.json", record_of_request(request))


def record_of_request(request: Request, *, absolute: bool = True) -> dict[str, Any]:
    """Return a request as JSON can hold it.

    Parameters
    ----------
    request : Request
        Data set and options.
    absolute : bool, optional
        Whether its paths are made absolute.

    Returns
    -------
    dict
        Texts, lists and dictionaries.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> record = record_of_request(Request(Path("/bids"), StudyOptions(make_config()), None))
    >>> record["bids"], request_of_record(record).options.reference
    ('/bids', 'brain')
    """

    def text(path: Path | None) -> str | None:
        return None if path is None else str(path.absolute() if absolute else path)

    options = {f.name: getattr(request.options, f.name) for f in fields(request.options)}
    options["config"] = request.options.config.to_toml()
    reference = options["reference"]
    options["reference"] = {"mask": text(reference)} if isinstance(reference, Path) else reference
    for name in PATHS:
        options[name] = text(options[name])
    return {"bids": text(request.bids), "work": text(request.work), "options": options}


def read_request(out: Path) -> Request:
    """Read the request of the last run.

    Parameters
    ----------
    out : Path
        Derivatives folder.

    Returns
    -------
    Request
        Data set and options.

    Raises
    ------
    InvalidInputError
        RESULT: the folder has no request that can be read.

    Examples
    --------
    >>> read_request(Path("nowhere"))
    Traceback (most recent call last):
    qsmcmb.errors.InvalidInputError: ERROR RESULT nowhere: request.json = missing; expected what a run has left...
    """
    path = out / FOLDER / "request.json"
    try:
        return request_of_record(json.loads(read_regular(path)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            "RESULT", out, field="request.json", found="damaged" if path.exists() else "missing",
            expected="what a run has left", fix="run `qsmcmb run` on this folder",
        ) from error  # fmt: skip


def request_of_record(record: dict[str, Any]) -> Request:
    """Return the request that a record holds.

    Parameters
    ----------
    record : dict
        As `record_of_request` makes it.

    Returns
    -------
    Request
        Data set and options.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is none.

    Examples
    --------
    >>> request_of_record({})
    Traceback (most recent call last):
    KeyError: 'options'
    """
    given: dict[str, Any] = dict(record["options"])
    for name in PATHS:
        path = given.get(name)
        given[name] = None if path is None else Path(path)
    reference = given["reference"]
    options = StudyOptions(
        **{
            **given,
            "config": make_config(tomllib.loads(given["config"])),
            "participants": tuple(given["participants"]),
            "sessions": tuple(given["sessions"]),
            "reference": Path(reference["mask"]) if isinstance(reference, dict) else str(reference),
        }
    )
    return Request(Path(record["bids"]), options, Path(record["work"]) if record["work"] else None)
