"""Published results that a simulation can reproduce.

References
----------
Liu T, Surapaneni K, Lou M, Cheng L, Spincemaille P, Wang Y. Cerebral microbleeds: burden assessment by using
quantitative susceptibility mapping. Radiology 2012;262:269-278. doi:10.1148/radiol.11110251

Naji N, Gee M, Jickling GC, et al. Quantifying cerebral microbleeds using quantitative susceptibility mapping from
magnetization-prepared rapid gradient-echo. NMR Biomed 2024.

Wang S, Lou M, Liu T, Cui D, Chen X, Wang Y. Hematoma volume measurement in gradient echo MRI using quantitative
susceptibility mapping. Stroke 2013;44:2315-2317. doi:10.1161/STROKEAHA.113.001638

Dixon WT, Blezek DJ, Lowery LA, et al. Estimating amounts of iron oxide from gradient echo images. Magn Reson Med 2009.

Cheng YCN, Hsieh CY, Tackett R, Kokeny P, Regmi RK, Lawes G. Magnetic moment quantifications of small spherical objects
in MRI. Magn Reson Imaging 2015;33:829-839. doi:10.1016/j.mri.2014.11.003

Deh K, Kawaji K, Bulk M, et al. Multicenter reproducibility of quantitative susceptibility mapping in a gadolinium
phantom using MEDI+0 automatic zero referencing. Magn Reson Med 2019;81:1229-1236. doi:10.1002/mrm.27410
"""

from __future__ import annotations

import numpy as np

from qsmcmb.typing import FloatArray
from qsmcmb.validation.acceptance_criteria import (
    Claim,
    Rows,
    at_least,
    at_most,
    column,
    lesions_in,
    over_sessions,
    percentile,
    within,
)
from qsmcmb.validation.accuracy_criteria import repeat_claim, seen_claims

__all__: tuple[str, ...] = ()

GADOLINIUM_MM = 4.0
"""Radius of the gadolinium balls, mm, as in the experiment "tubes"."""


def literature_claims(tables: dict[str, Rows]) -> list[Claim]:
    """Return the published results that the tables can answer."""
    claims: list[Claim] = []
    if "te" in tables:
        claims += [*liu_claims(tables["te"]), *naji_claims(tables["te"])]
    if "counts" in tables:
        claims += seen_claims(tables["counts"])
    if "haematomas" in tables:
        claims += wang_claims(tables["haematomas"])
    if "iron" in tables:
        claims += _dixon_claims(tables["iron"])
    if "beads" in tables:
        claims.append(_cheng_claim(tables["beads"]))
    if "repeat" in tables:
        claims.append(repeat_claim(tables["repeat"]))
    if "tubes" in tables:
        claims.append(_deh_claim(tables["tubes"]))
    return claims


def _ratios(rows: Rows, name: str, first: str, second: str) -> FloatArray:
    """Return the ratio of second to first session, for lesions that both show."""
    values = np.abs(over_sessions(rows, name, (first, second)))
    both = values[(values > 0).all(axis=1) & np.isfinite(values).all(axis=1)]
    return np.asarray(both[:, 1] / both[:, 0])


def liu_claims(rows: Rows) -> list[Claim]:
    """Return growth of volumes from TE 20 to 40 ms against that of the total susceptibility (Liu 2012)."""
    source = "Liu 2012"
    lesions = [r for r in lesions_in(rows, above=2) if r["kind"] == "microbleed"]
    growth = {
        name: percentile(_ratios(lesions, name, "TE20", "TE40"), 50)
        for name in ("t2s_mm3", "swi_mm3", "r2s_mm3", "qsm_mm3", "estimate_ppm_mm3")
    }
    count = len({(r["head"], r["lesion"]) for r in lesions})
    what = "volume, TE 40 over 20 ms"
    return [
        at_least(source, f"T2*w {what}", "2.30", growth["t2s_mm3"], 1.3, f"{count} microbleeds"),
        at_least(source, f"SWI {what}", "2.30", growth["swi_mm3"], 1.2),
        at_most(source, f"R2* {what}, over that on T2*w", "0.71", growth["r2s_mm3"] / growth["t2s_mm3"], 1.0),
        at_most(source, f"QSM {what}, over that on T2*w", "0.65", growth["qsm_mm3"] / growth["t2s_mm3"], 1.0),
        within(source, "total susceptibility, TE 40 over 20 ms", "1 (P = .31)", growth["estimate_ppm_mm3"],
               (0.97, 1.03)),
    ]  # fmt: skip


def naji_claims(rows: Rows) -> list[Claim]:
    """Return size, mean and total susceptibility between two sequences (Naji 2024)."""
    source, first, second = "Naji 2024", "TE40", "TE10"
    lesions = [r for r in lesions_in(rows, above=2) if r["kind"] == "microbleed"]
    size = percentile(_ratios(lesions, "qsm_mm3", first, second), 50)
    mean = percentile(_ratios(lesions, "qsm_mean_ppm", first, second), 50)
    pairs = over_sessions(lesions, "estimate_ppm_mm3", (first, second))
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    slope = float(np.polyfit(pairs[:, 0], pairs[:, 1], 1)[0]) if len(pairs) > 2 else float("nan")
    r2 = float(np.corrcoef(pairs[:, 0], pairs[:, 1])[0, 1] ** 2) if len(pairs) > 2 else float("nan")
    return [
        at_most(source, "size on QSM, second over first sequence", "0.54", size, 0.95, "TE 10 over 40 ms"),
        at_least(source, "mean susceptibility, second over first sequence", "1.9", mean, 1.05),
        within(source, "slope of total susceptibility", "0.97", slope, (0.95, 1.05), f"r2 {r2:.3f}"),
    ]


def wang_claims(rows: Rows) -> list[Claim]:
    """Return how haematomas' volumes grow with echo time, median slopes in l/s (Wang 2013)."""
    source = "Wang 2013"
    names = tuple(dict.fromkeys(r["session"] for r in rows))
    te_s = over_sessions(rows, "te_max_s", names)[0]
    slopes = {
        name: 1e-6 * float(np.median(np.polyfit(te_s, over_sessions(rows, name, names).T, 1)[0]))
        for name in ("t2s_mm3", "swi_mm3", "r2s_mm3", "qsm_mm3")
    }
    what = "haematoma's volume over echo time (l/s)"
    return [
        at_least(source, f"T2*w {what}", "0.45", slopes["t2s_mm3"], 0.02),
        at_least(source, f"SWI {what}", "0.52", slopes["swi_mm3"], 0.02),
        at_most(source, f"R2* {what}, over that on T2*w", "0.39 / 0.45", slopes["r2s_mm3"] / slopes["t2s_mm3"], 1.0,
                "an upper limit alone: below 0 it shrinks"),
        within(source, f"QSM {what}, over that on T2*w", "0.01 / 0.45", slopes["qsm_mm3"] / slopes["t2s_mm3"],
               (-0.1, 0.1)),
    ]  # fmt: skip


def _dixon_claims(rows: Rows) -> list[Claim]:
    """Return what the void's volume and the fit read at two echo times (Dixon 2009)."""
    source = "Dixon 2009"
    void = float(np.mean(_ratios(rows, "volume_mm3", "TE10", "TE25")))
    fit = column(rows, "estimate_ppm_mm3") / column(rows, "truth_ppm_mm3")
    return [
        at_least(source, "void volume, TE 25 over 9.8 ms", "10 over 6 (1.67)", void, 1.3),
        within(source, "dipole fit over truth, furthest of the two echo times", "0.83 +- 0.09",
               float(fit[np.argmax(np.abs(fit - 1))]), (0.9, 1.1)),
    ]  # fmt: skip


def _cheng_claim(rows: Rows) -> Claim:
    """Return the worst total susceptibility of glass beads (Cheng 2015)."""
    ratio = column(rows, "estimate_ppm_mm3") / column(rows, "truth_ppm_mm3")
    worst = float(100 * np.max(np.abs(ratio - 1)))
    return at_most("Cheng 2015", "moments of 2 to 6 mm glass beads, largest error (%)", "10", worst, 10)


def _deh_claim(rows: Rows) -> Claim:
    """Return the SD over field strengths of gadolinium's susceptibility on the map (Deh 2019)."""
    names = tuple(dict.fromkeys(r["session"] for r in rows))
    chi = over_sessions(rows, "roi_ppm", names)
    spread = 100 * chi.std(axis=1, ddof=1) / np.abs(chi.mean(axis=1))
    truth = np.unique(column(rows, "truth_ppm_mm3")) / (4 / 3 * np.pi * GADOLINIUM_MM**3)
    return at_most(
        "Deh 2019", "SD over 1.5, 3 and 7 T of gadolinium's susceptibility, median (%)", "6.5 to 12",
        percentile(spread, 50), 12, f"{truth.min():.2f} to {truth.max():.2f} ppm",
    )  # fmt: skip
