"""Draws the pictures of docs/how-to/group-page.md: `python -m tests.docs.group_page`, some seconds, with a browser.

The study is made up: nine subjects, one at each field strength at every visit, one that grows, one scan of bad quality,
one that failed.
"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.io.tables import write_json
from qsmcmb.reporting.change_chart import ChangeChart, change_chart
from qsmcmb.study.group import write_group
from qsmcmb.study.manifest import Manifest, manifest_path
from tests.scenes.browser import browser, open_page
from tests.scenes.cohorts import FIELDS, write_scan_results

FOLDER = Path(__file__).parents[2] / "docs" / "how-to" / "group-page"
PARTS = {
    "summary": (None, "Burden over time"),
    "figures": ("Burden over time", "Outliers"),
    "rest": ("Outliers", None),
}
"""Pictures: the heading that each begins with, and the one before which it ends."""
WIDTH = 1280


def write_study(out: Path) -> Path:
    """Write the results of the study and its page; return the page."""
    rng = np.random.default_rng(8)
    for number in range(9):
        label = f"{number + 1:02d}"
        totals = list(np.exp(rng.normal(0.7, 0.8, (14, 1, 0, 3, 6, 2, 9, 4, 1)[number])))
        for session in range(2):
            # The first subjects change the scanner; the fourth has two new lesions.
            field = FIELDS[(number + 2 * session * (number < 3)) % 3]
            own = [m * float(np.exp(rng.normal(0, 0.03))) for m in totals] + [2.5, 4.0] * (
                number == 3
            ) * session
            snr = 3.1 if (number, session) == (5, 1) else float(np.round(45 * np.exp(rng.normal(0, 0.2)), 1))
            write_scan_results(out, label, session, own, b0_tesla=field, snr=snr)
    name = "sub-10_ses-1"
    error = f"ERROR GZ-CRC {name}_part-phase_MEGRE.nii.gz: checksum = wrong; expected a whole file. Fix: copy it again"
    Manifest(name, {}, {}, error=error, exit_code=65).write(out, manifest_path(out, name))
    write_group(out)
    return out / "group.html"


def draw_change(folder: Path) -> ChangeChart | None:
    """Draw three visits of a subject whose second lesion grows and whose third one is new."""
    names, years = ("ses-1", "ses-2", "ses-3"), (0.0, 1.1, 2.3)
    totals = {1: (6.0, 6.1, 5.9), 2: (4.0, 4.6, 6.4), 3: (0.1, 0.2, 2.6)}
    burdens = [sum(own[k] for own in totals.values()) for k in range(3)]
    write_json(folder / "sub-1_desc-cmb_trend.json", {
        "n_lesions": 3,
        "sessions": [{"session_id": name, "years": year} for name, year in zip(names, years, strict=True)],
        "burden": [
            {"session_id": name, "burden_ppm_mm3": b, "burden_low_ppm_mm3": 0.95 * b, "burden_high_ppm_mm3": 1.05 * b}
            for name, b in zip(names, burdens, strict=True)
        ],
    })  # fmt: skip
    rows: list[dict[str, str | None]] = []
    for lesion, own in totals.items():
        for k, j in ((0, 1), (0, 2), (1, 2)):
            change = own[j] - own[k]
            status = "stable" if change < 0.8 else "incident" if lesion == 3 else "increased"
            numbers: dict[str, Any] = {
                "lesion": lesion, "interval_years": years[j] - years[k], "baseline_ppm_mm3": own[k],
                "baseline_sd_ppm_mm3": 0.15, "followup_ppm_mm3": own[j], "followup_sd_ppm_mm3": 0.15,
                "change_ppm_mm3": change, "mdc_ppm_mm3": 0.7,
            }  # fmt: skip
            rows.append(
                {name: str(value) for name, value in numbers.items()}
                | {"status": status, "baseline_session": names[k], "followup_session": names[j]}
            )
    return change_chart(folder / "sub-1_desc-cmb_longitudinal.tsv", rows)


def main() -> None:
    """Write the pictures of the guide."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser() as started:
        page = write_study(Path(folder) / "out")
        with open_page(started, page.as_uri(), width=WIDTH) as found:
            tops = {h.inner_text(): h.bounding_box()["y"] for h in found.page.locator("h2").all()}
            end = found.page.evaluate("document.documentElement.scrollHeight")
            for name, (first, last) in PARTS.items():
                top, bottom = tops.get(str(first), 0), tops.get(str(last), end)
                area = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top}
                found.page.screenshot(path=FOLDER / f"{name}.png", clip=area, full_page=True)
        chart = draw_change(Path(folder))
        assert chart is not None
        (FOLDER / "change.png").write_bytes(base64.b64decode(chart.picture))


if __name__ == "__main__":
    main()
