"""A lesion's position in each session is that of its own table, also where the registration is some mm off."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Estimate
from qsmcmb.reporting.course import read_courses


def lesion(label: int, x_mm: float, total: float) -> Microbleed:
    return Microbleed(label, (x_mm, 0.0, 0.0), total_chi_ppm_mm3=Estimate(total, 0.1, "ppm mm3"))


def write_changes(folder: Path, *, error_mm: float) -> Path:
    """Write one lesion in three sessions, whose transforms are off by a distance along x."""
    table = folder / "sub-01_desc-cmb_longitudinal.tsv"
    rows = [
        {"lesion": 1, "baseline_session": f"ses-{n}", "followup_session": f"ses-{n + 1}", "x_mm": 10.0 * n, "y_mm": 0.0,
         "z_mm": 0.0, "baseline_ppm_mm3": 4.0 + n, "followup_ppm_mm3": 5.0 + n}
        for n in (1, 2)
    ]  # fmt: skip
    write_tsv(table, rows, list(rows[0]))
    matrix = np.eye(4)
    matrix[0, 3] = 10.0 + error_mm
    transforms = {f"ses-{n} to ses-{n + 1}": {"matrix": matrix.tolist()} for n in (1, 2)}
    write_json(table.with_suffix(".json"), {"Steps": {"longitudinal": {"transforms": transforms}}})
    return table


def test_a_registration_that_is_off_moves_no_lesion(tmp_path: Path) -> None:
    table = write_changes(tmp_path, error_mm=4.0)
    # Nearer to the carried position lies another lesion, of another total.
    lesions = {f"ses-{n}": [lesion(1, 10.0 * n, 4.0 + n), lesion(2, 10.0 * n + 4.5, 1.0)] for n in (1, 2, 3)}
    (course,) = read_courses(table, "", lesions)
    assert {name: float(at[0]) for name, at in course.points_mm.items()} == {
        "ses-1": 10.0,
        "ses-2": 20.0,
        "ses-3": 30.0,
    }


def test_a_resolved_lesion_is_shown_where_it_would_be(tmp_path: Path) -> None:
    table = write_changes(tmp_path, error_mm=0.0)
    (course,) = read_courses(table, "", {})
    assert float(course.points_mm["ses-3"][0]) == 30.0
