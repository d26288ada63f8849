"""A made-up study: derivatives of any number of subjects and sessions, as `run` and `longitudinal` leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.change.records import COLUMNS
from qsmcmb.io.tables import write_tsv
from qsmcmb.lesion import LESION_COLUMNS
from qsmcmb.pipeline.quality_limits import LIMITS

FIELDS = (1.5, 3.0, 7.0)
BLOOMING_MM3 = 3.0
"""Visible volume of 1 ppm mm3 at 3 T: it doubles with the field strength."""


def write_cohort_study(
    out: Path,
    *,
    subjects: int,
    sessions: int = 3,
    incidence: float = 0.3,
    lesions: float = 3.0,
    seed: int = 1,
) -> Path:
    """Write a study; even subjects are controls, odd ones have half of the incidence. Return its participants' table.

    Totals are the same at all field strengths but for an error of 5 %; visible volumes follow the field strength.
    """
    rng, noise = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    rows = []
    for number in range(subjects):
        label, treated = f"{number + 1:04d}", bool(number % 2)
        rows.append({"participant_id": f"sub-{label}", "group": "drug" if treated else "placebo",
                     "age": float(np.round(rng.normal(70, 8), 1)), "site": "one"})  # fmt: skip
        totals = list(np.exp(rng.normal(0.7, 1.0, rng.poisson(lesions * rng.gamma(1.0)))))
        measured: list[list[float]] = []
        for session in range(sessions):
            if session:
                totals += list(
                    np.exp(rng.normal(0.7, 1.0, rng.poisson(incidence * (0.5 if treated else 1.0))))
                )
            own = [m * float(np.exp(rng.normal(0, 0.05))) for m in totals]
            measured.append(own)
            b0_tesla, snr = FIELDS[rng.integers(3)], float(np.round(45 * np.exp(noise.normal(0, 0.3)), 1))
            write_scan_results(out, label, session, own, b0_tesla=b0_tesla, snr=snr)
        if sessions > 1:
            changes = [
                change for n in range(1, sessions) for change in compare(measured[n - 1], measured[n], n)
            ]
            path = out / f"sub-{label}" / f"sub-{label}_desc-cmb_longitudinal.tsv"
            write_tsv(path, changes, list(COLUMNS))
    path = out.parent / "participants.tsv"
    write_tsv(path, rows, ["participant_id", "group", "age", "site"])
    return path


def compare(before: list[float], after: list[float], session: int) -> list[dict[str, Any]]:
    """Return the longitudinal rows of two sessions: lesions stay in order, new ones are last."""
    shared = {
        "baseline_session": f"ses-{session}",
        "followup_session": f"ses-{session + 1}",
        "interval_years": 1.0,
    }
    return [
        {
            "lesion": n + 1, "status": "stable" if n < len(before) else "incident", **shared,
            "baseline_ppm_mm3": before[n] if n < len(before) else 0.0, "baseline_sd_ppm_mm3": 0.1,
            "followup_ppm_mm3": value, "followup_sd_ppm_mm3": 0.05 * value,
        }
        for n, value in enumerate(after)
    ]  # fmt: skip


def write_scan_results(
    out: Path, label: str, session: int, totals: list[float], *, b0_tesla: float, snr: float = 40.0
) -> None:
    """Write the burden record, the lesion table and the quality of one scan, which its SNR decides."""
    prefix = f"sub-{label}_ses-{session + 1}"
    anat = out / f"sub-{label}" / f"ses-{session + 1}" / "anat"
    anat.mkdir(parents=True)
    rows = [
        {"label": n + 1, "x_mm": 0.0, "y_mm": 10.0 * n, "z_mm": 0.0, "kind": "microbleed", "certainty": "definite",
         "total_chi_ppm_mm3": m, "total_chi_sd_ppm_mm3": 0.05 * m, "territory": "lobar"}
        for n, m in enumerate(totals)
    ]  # fmt: skip
    write_tsv(anat / f"{prefix}_desc-cmb_lesions.tsv", rows, list(LESION_COLUMNS))
    record = {
        "n_definite": len(totals), "n_possible": 0, "volume_mm3": BLOOMING_MM3 * b0_tesla / 3 * sum(totals),
        "burden_ppm_mm3": sum(totals), "burden_sd_ppm_mm3": 0.05 * sum(totals),
        "burden_low_ppm_mm3": 0.9 * sum(totals), "burden_high_ppm_mm3": 1.1 * sum(totals), "EchoTime": [0.01, 0.02],
        "pattern": "strictly lobar" if totals else "none", "detection_limit_median_ppm_mm3": 3.0 / b0_tesla,
        "by_territory": {}, "VoxelSize": [1.0, 1.0, 1.0], "MagneticFieldStrength": b0_tesla,
        "AcquisitionTime": f"{2020 + session}-03-01T10:00:00", "Warnings": [],
        "Input": {"Scanner": {"Manufacturer": f"maker {b0_tesla:g}"}},
    }  # fmt: skip
    (anat / f"{prefix}_desc-cmb_burden.json").write_text(json.dumps(record), encoding="utf-8")
    limit = LIMITS["snr_first_echo"]
    verdict = limit.verdict(snr)
    measure = {
        "Name": "snr_first_echo", "Description": limit.description, "Value": snr, "Unit": limit.unit,
        "Good": limit.good, "Usable": limit.usable, "Verdict": verdict,
    }  # fmt: skip
    quality = {
        "Verdict": verdict,
        "Stages": {"load": {"Verdict": verdict, "Measures": [measure], "FallBacks": []}},
    }
    (anat / f"{prefix}_desc-quality.json").write_text(json.dumps(quality), encoding="utf-8")
