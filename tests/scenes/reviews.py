"""A study of two tiny sessions with the table of candidates that a review needs."""

from __future__ import annotations

import json
from pathlib import Path

from qsmcmb.io.lesion_table import lesion_row
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.io.tables import write_tsv
from qsmcmb.lesion import LESION_COLUMNS, Microbleed
from qsmcmb.model import Estimate
from qsmcmb.reviewing.reviewed_scan import ReviewedScan, read_scan
from qsmcmb.study.judgement import Judgement
from qsmcmb.study.reader_log import ReaderLog
from tests.scenes.studies import Study

TABLE = "desc-cmb_lesions.tsv"


def candidate(label: int, **fields: object) -> Microbleed:
    """Return a candidate within the brain of the tiny scan; each has a place and a probability of its own."""
    total = Estimate(2.0 + 0.1 * label, 0.1, "ppm mm3")
    at = (6.0 + 3 * (label % 4), 6.0 + 3 * (label // 4 % 4), 7.0 + 3 * (label // 16 % 4))
    known = {
        "score": (label * 0.037) % 1.0,
        "territory": "lobar",
        "total_chi_ppm_mm3": total,
        "diameter_mm": 4.0,
    }
    return Microbleed(label, at, **{**known, **fields})  # type: ignore[arg-type]


def scans_of(study: Study) -> list[SessionResults]:
    """Return the two sessions of the study."""
    return list_results(study.out, "01")


def write_candidates(study: Study, scan: SessionResults, lesions: list[Microbleed]) -> None:
    """Give a scan another table of candidates, as if its run had found them."""
    path = scan.place.path(TABLE)
    write_tsv(path, [lesion_row(lesion) for lesion in lesions], list(LESION_COLUMNS))
    manifest = study.out / f".qsmcmb/manifest/{scan.place.prefix}.json"
    record = json.loads(manifest.read_text())
    record["results"][path.relative_to(study.out).as_posix()] = sha256_of(path)
    manifest.write_text(json.dumps(record))


def judge(study: Study, reader: str, label: int, judgement: Judgement, **more: object) -> None:
    """Append a reader's verdict on a candidate of the first session."""
    reviewed = read_scan(study.out, scans_of(study)[0], [reader])
    found = next(c for c in reviewed.candidates if c.label == label)
    reviewed.logs[reader].append(
        "verdict", found.id, found.position_mm, label=label, judgement=judgement, **more
    )


def reviewed_scan(study: Study, *readers: str) -> ReviewedScan:
    """Return the first session with the logs of its readers."""
    return read_scan(study.out, scans_of(study)[0], readers)


def log_of(study: Study, reader: str) -> ReaderLog:
    """Return the log of a reader on the first session."""
    return reviewed_scan(study, reader).logs[reader]


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table as texts, as they stand."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
