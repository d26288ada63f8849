"""A page and a JSON file per lesion: all that its number rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmcmb.io.atomic import make_folder
from qsmcmb.io.tables import write_json
from qsmcmb.microbleeds.results.explanation import Explanation
from qsmcmb.reporting.explain_figures import draw_fit_slices, draw_numbers
from qsmcmb.reporting.page import show, write_page

__all__ = ["lines_of", "write_explanations"]


def write_explanations(folder: Path, explanations: Sequence[Explanation]) -> list[Path]:
    """Write FOLDER/lesion-<label>.html and .json for each lesion.

    Parameters
    ----------
    folder : path
        Folder of the pages; made where it is missing.
    explanations : sequence of Explanation
        One per lesion.

    Returns
    -------
    list of Path
        The pages.

    Raises
    ------
    OutputError
        The folder cannot be made.
    """
    make_folder(folder)
    pages = []
    for record, slices in explanations:
        stem = f"lesion-{record['label']}"
        te_s = [r["te_s"] for r in record.get("per_echo", [])]
        page = write_page(
            folder / f"{stem}.html", "explain.html", title=f"Lesion {record['label']}", lines=lines_of(record),
            flags=record["flags"], command=record["command"],
            slices=draw_fit_slices(slices, te_s) if slices is not None else None,
            numbers=draw_numbers(record) if slices is not None else None,
        )  # fmt: skip
        write_json(folder / f"{stem}.json", record)
        pages.append(page)
    return pages


def lines_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers of an explanation in words.

    Parameters
    ----------
    record : mapping
        Explanation of a lesion.

    Returns
    -------
    list of tuple of str
        Name of the quantity, and its value with unit.
    """
    centre = ", ".join(f"{p:.1f}" for p in record["position_mm"])
    lines = [("centre, scanner RAS+", f"{centre} mm"), ("kind", f"{record['kind']}, {record['certainty']}")]
    lines.append(("total susceptibility by the fit", _interval(record["total_chi"])))
    lines.append(("detection limit here", _unit(record["detection_limit"])))
    if "fit" in record:
        fit, voxels = record["fit"], record["voxels"]
        lines += [
            ("SD", _unit(fit["sd"])),
            ("of it noise and clutter", _unit(fit["noise_and_clutter_sd"])),
            ("of it the scan's blur and the lesion's shape", _unit(fit["blur_and_shape_sd"])),
            ("of it the tissue that the lesion hides", _unit(fit["hidden_tissue_sd"])),
            ("Cramer-Rao bound of the SD (white noise alone)", _unit(fit["cramer_rao_sd"])),
            ("weighted residual; within 3 mm", f"{show(fit['residual'])}; {show(fit['core_residual'])}"),
            (f"{fit['shape']}: total (ppm mm3), radius (mm)", _sources(fit["sources_ppm_mm3_mm"])),
            ("k-space along the image's axes", _point_spread(record["point_spread"])),
            (
                "voxels",
                f"{voxels['used']} used, {voxels['left_out']} left out (outside mask or volume) within "
                f"{show(voxels['ball_radius_mm'])} mm; counting less than half, per echo: "
                + ", ".join(str(n) for n in voxels["counting_less_than_half"]),
            ),
        ]
    if "map_sum" in record:
        total = record["map_sum"]
        lines.append(("sum over the map, corrected", _interval(total["corrected"])))
        lines.append(
            (
                "raw; response; ball",
                f"{_unit(total['raw'])}; {show(total['response'])}; {show(total['radius_mm'])} mm",
            )
        )
    if "signal_loss" in record:
        loss = record["signal_loss"]
        lost = ", ".join(show(float(v)) for v in loss["volume_mm3"])
        lines.append(("signal loss", _interval(loss)))
        lines.append(
            ("lost signal per echo", f"{lost} mm3 of tissue within {show(loss['ball_radius_mm'])} mm")
        )
    if record.get("estimators_agree") is not None:
        lines.append(("estimators", "agree" if record["estimators_agree"] else "disagree"))
    return lines


def _point_spread(spread: Mapping[str, Any]) -> str:
    axes = [_window(w) for w in spread["k_space_windows"]]
    profile = spread["slice_profile"]
    if profile is not None:
        axes[profile["axis"]] = f"slices of {show(profile['thickness'])} of their distance"
    words = axes[0] if len(set(axes)) == 1 else "; ".join(axes)
    return f"{words}; beyond it a blur of {show(max(spread['blur_mm2']['value'], 0.0) ** 0.5)} mm"


def _window(window: Mapping[str, float]) -> str:
    part = "whole" if window["edge"] == 1 else f"{show(window['edge'])} of it acquired"
    if window["taper"] == 0:
        return f"{part}, unfiltered"
    return f"{part}, falling over its last {show(window['taper'])} to {show(window['height'])}"


def _sources(rows: list[list[float]]) -> str:
    return "; ".join(f"{show(row[0])}, {show(row[4])}" for row in rows)


def _interval(value: Mapping[str, float | None] | None) -> str:
    if value is None:
        return "n/a"
    return f"{show(value['value'])} ppm mm3 ({show(value['low'])} to {show(value['high'])})"


def _unit(value: float | None) -> str:
    return "n/a" if value is None else f"{show(float(value))} ppm mm3"
