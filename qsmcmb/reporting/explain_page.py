"""Page and JSON file of each lesion: everything that its number rests on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsmcmb.io.atomic import make_folder
from qsmcmb.io.tables import write_json
from qsmcmb.microbleeds.results.explanation import Explanation
from qsmcmb.microbleeds.results.explanation_records import (
    EstimateRecord,
    FitRecord,
    LesionRecord,
    MapSumRecord,
    PointSpreadRecord,
    SignalLossRecord,
    VoxelRecord,
    WindowRecord,
)
from qsmcmb.reporting.explain_figures import draw_estimators, draw_slices
from qsmcmb.reporting.explain_interval import draw_interval, interval_words
from qsmcmb.reporting.explain_source import draw_planes, model_rows, moments_words
from qsmcmb.reporting.page import show, unit_words, write_page

__all__ = ["evidence_lines", "lines_of", "write_explanations"]

Line = tuple[str, str]
"""Name of a quantity, and its value in words with the unit."""


def write_explanations(folder: Path, explanations: Sequence[Explanation]) -> list[Path]:
    """Write a page and a JSON file for each lesion.

    Parameters
    ----------
    folder : Path
        Folder for lesion-<label>.html and .json; made where it is not there.
    explanations : sequence of Explanation
        One per lesion.

    Returns
    -------
    list of Path
        The pages, in the order of the lesions.

    Raises
    ------
    OutputError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_explanations(Path(folder), [])
    []
    """
    make_folder(folder)
    pages = []
    for record, slices, planes in explanations:
        stem = f"lesion-{record['label']}"
        te_s = [r["te_s"] for r in record.get("per_echo", [])]
        parts = record.get("sd_parts", [])
        page = write_page(
            folder / f"{stem}.html", "explain.html", title=f"Lesion {record['label']}", lines=lines_of(record),
            flags=record["flags"], command=record["command"], evidence=evidence_lines(record),
            planes=draw_planes(planes) if planes else None,
            moments=moments_words(record["moments"]) if "moments" in record else [],
            models=model_rows(record.get("compared_models", [])),
            interval=draw_interval(parts) if parts else None, interval_words=interval_words(parts) if parts else "",
            slices=draw_slices(slices, te_s) if slices is not None else None,
            numbers=draw_estimators(record) if slices is not None else None,
        )  # fmt: skip
        write_json(folder / f"{stem}.json", record)
        pages.append(page)
    return pages


def lines_of(record: LesionRecord) -> list[Line]:
    """Return the numbers of an explanation in words.

    Parameters
    ----------
    record : LesionRecord
        The explanation, as read from JSON or as made.

    Returns
    -------
    list of (str, str)
        Name of each quantity and its value with the unit; n/a where unknown.

    Examples
    --------
    >>> from qsmcmb.lesion import Microbleed
    >>> from qsmcmb.microbleeds.results.explanation import explain_lesion
    >>> record = explain_lesion(Microbleed(1, (12.0, -30.5, 8.0)), None).record
    >>> lines_of(record)[0]
    ('centre, scanner RAS+', '12.0, -30.5, 8.0 mm')
    """
    position = ", ".join(f"{p:.1f}" for p in record["position_mm"])
    lines = [
        ("centre, scanner RAS+", f"{position} mm"),
        ("kind", f"{record['kind']}, {record['certainty']}"),
        ("total susceptibility by the fit", _interval(record["total_chi"])),
        ("detection limit here", _with_unit(record["detection_limit"])),
    ]
    if "fit" in record:
        lines += _fit_lines(record["fit"])
        lines.append(("k-space along the image's axes", _point_spread(record["point_spread"])))
        lines.append(("voxels", _voxels(record["voxels"])))
    if "map_sum" in record:
        lines += _map_sum_lines(record["map_sum"])
    if "signal_loss" in record:
        lines += _signal_loss_lines(record["signal_loss"])
    if record.get("estimators_agree") is not None:
        lines.append(("estimators", "agree" if record["estimators_agree"] else "disagree"))
    return lines


def evidence_lines(record: LesionRecord) -> list[Line]:
    """Return the evidence of an explanation in words.

    Parameters
    ----------
    record : LesionRecord
        The explanation, as read from JSON or as made.

    Returns
    -------
    list of (str, str)
        Description of each figure and its value with the unit; empty where a result has none.

    Examples
    --------
    >>> from qsmcmb.lesion import Microbleed
    >>> from qsmcmb.microbleeds.results.explanation import explain_lesion
    >>> evidence_lines(explain_lesion(Microbleed(1, (12.0, -30.5, 8.0)), None).record)
    []
    """
    return [
        (entry["description"], f"{show(entry['value'])} {unit_words(entry['unit'])}".strip())
        for entry in record.get("evidence", [])
    ]


def _fit_lines(fit: FitRecord) -> list[Line]:
    """Return the lines of the refined fit."""
    return [
        ("SD", _with_unit(fit["sd"])),
        ("of it noise and clutter", _with_unit(fit["noise_and_clutter_sd"])),
        ("of it the scan's point spread and the lesion's shape", _with_unit(fit["psf_and_shape_sd"])),
        ("of it the tissue that the lesion hides", _with_unit(fit["hidden_tissue_sd"])),
        ("Cramer-Rao bound of the SD (white noise alone)", _with_unit(fit["cramer_rao_sd"])),
        ("weighted residual; within 3 mm", f"{show(fit['residual'])}; {show(fit['core_residual'])}"),
        (f"{fit['shape']}: total (ppm mm³), radius (mm)", _sources(fit["sources_ppm_mm3_mm"])),
    ]


def _voxels(voxels: VoxelRecord) -> str:
    """Return how many voxels were used and how many count little."""
    return (
        f"{voxels['used']} used, {voxels['left_out']} left out (outside mask or volume) within "
        f"{show(voxels['ball_radius_mm'])} mm; counting less than half, per echo: "
        + ", ".join(str(n) for n in voxels["n_downweighted"])
    )


def _map_sum_lines(total: MapSumRecord) -> list[Line]:
    """Return the lines of the map sum."""
    return [
        ("sum over the map, corrected", _interval(total["corrected"])),
        (
            "raw; response; ball",
            f"{_with_unit(total['raw'])}; {show(total['response'])}; {show(total['radius_mm'])} mm",
        ),
    ]


def _signal_loss_lines(loss: SignalLossRecord) -> list[Line]:
    """Return the lines of the signal loss."""
    lost = ", ".join(show(float(v)) for v in loss["volume_mm3"])
    return [
        ("signal loss", _interval(loss)),
        ("lost signal per echo", f"{lost} mm³ of tissue within {show(loss['ball_radius_mm'])} mm"),
    ]


def _point_spread(spread: PointSpreadRecord) -> str:
    """Return window or slice profile along each axis, once where all are alike, and the extra width."""
    axes = [_window(w) for w in spread["k_space_windows"]]
    profile = spread["slice_profile"]
    if profile is not None:
        axes[profile["axis"]] = f"slices of {show(profile['thickness'])} of their distance"
    words = axes[0] if len(set(axes)) == 1 else "; ".join(axes)
    width_mm = max(spread["psf_width2_mm2"]["value"], 0.0) ** 0.5
    return f"{words}; beyond it an extra width of {show(width_mm)} mm"


def _window(window: WindowRecord) -> str:
    """Return a k-space window in words."""
    acquired = "whole" if window["edge"] == 1 else f"{show(window['edge'])} of it acquired"
    if window["taper"] == 0:
        return f"{acquired}, unfiltered"
    return f"{acquired}, falling over its last {show(window['taper'])} to {show(window['height'])}"


def _sources(rows: list[list[float]]) -> str:
    """Return total susceptibility and radius of each body."""
    return "; ".join(f"{show(row[0])}, {show(row[4])}" for row in rows)


def _interval(value: EstimateRecord | None) -> str:
    """Return an estimate with its 95 % interval."""
    if value is None:
        return "n/a"
    return f"{show(value['value'])} ppm mm³ ({show(value['low'])} to {show(value['high'])})"


def _with_unit(value: float | None) -> str:
    """Return a total susceptibility with its unit."""
    return "n/a" if value is None else f"{show(float(value))} ppm mm³"
