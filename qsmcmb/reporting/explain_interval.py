"""Why a lesion's interval is as wide as it is: the parts of its SD, in words and as bars."""

from __future__ import annotations

from matplotlib.figure import Figure

from qsmcmb.microbleeds.results.explanation_records import SdPartRecord
from qsmcmb.reporting.figures import DPI, to_png
from qsmcmb.reporting.page import show

__all__ = ["PART_WORDS", "draw_interval", "interval_words"]

PART_WORDS = {
    "process": "noise, and what tissue may do (Gaussian process)",
    "sandwich": "residual of the fit (sandwich)",
    "clutter": "tissue of lesion-free patches nearby (clutter)",
    "floor": "least SD of noise and clutter",
    "centre": "prior: position",
    "susceptibility_difference": "prior: susceptibility difference, so size",
    "psf_width": "calibration: extra width of the point spread",
    "decay": "prior: decay inside",
    "shape": "prior: shape",
    "large_body": "large body, little tissue around it",
    "hidden_tissue": "tissue that the lesion hides",
    "model_selection": "choice among the models compared",
    "discrepancy": "what the shape does not describe (discrepancy)",
    "systematic": "a model that explains the scan better (systematic)",
}
"""Parts of the SD in words, by their names in the record."""
MIN_DRAWN_FRACTION = 0.05
"""Ratio of a part's SD to the whole SD below which it has no bar: a four-hundredth of the variance."""


def interval_words(parts: list[SdPartRecord]) -> str:
    """Return what the SD consists of.

    Parameters
    ----------
    parts : list of SdPartRecord
        Parts of the SD, the largest first.

    Returns
    -------
    str
        A few sentences.

    Examples
    --------
    >>> parts = [SdPartRecord(part="centre", sd=0.4), SdPartRecord(part="decay", sd=0.3)]
    >>> interval_words(parts)[65:]
    'Of its square 64 % is: prior: position. The interval is the value +- 1.96 SD.'
    """
    total = _total(parts)
    largest = parts[0]
    share = 100 * (largest["sd"] / total) ** 2 if total > 0 else 0.0
    return (
        f"SD {show(total)} ppm mm³, the root of the sum of the squares of its parts. Of its square {share:.0f} % is: "
        f"{PART_WORDS[largest['part']]}. The interval is the value +- 1.96 SD."
    )


def draw_interval(parts: list[SdPartRecord]) -> str:
    """Draw the parts of the SD as bars, the SD itself last.

    Parameters
    ----------
    parts : list of SdPartRecord
        Parts of the SD, the largest first; those below a twentieth of the SD are drawn together.

    Returns
    -------
    str
        PNG image, base64.

    Examples
    --------
    >>> draw_interval([SdPartRecord(part="psf_width", sd=0.4), SdPartRecord(part="clutter", sd=0.3)])[:5]
    'iVBOR'
    """
    total = _total(parts)
    drawn = [p for p in parts if p["sd"] >= MIN_DRAWN_FRACTION * total]
    others = _total([p for p in parts if p["sd"] < MIN_DRAWN_FRACTION * total])
    bars = [(PART_WORDS[p["part"]], p["sd"]) for p in drawn]
    bars += [("all other parts", others), ("SD: root of the sum of squares", total)]
    figure = Figure(figsize=(9, 0.8 + 0.3 * len(bars)), dpi=DPI)
    axis = figure.subplots()
    colours = ["tab:blue"] * (len(bars) - 2) + ["0.6", "0.2"]
    drawn_bars = axis.barh(range(len(bars)), [sd for _, sd in bars], color=colours)
    axis.bar_label(drawn_bars, [show(float(sd)) for _, sd in bars], padding=3, fontsize=8)
    axis.set_yticks(range(len(bars)), [words for words, _ in bars], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.15 * max(total, 1e-9))
    axis.set_xlabel("SD (ppm mm³)", fontsize=8)
    axis.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.tight_layout()
    return to_png(figure)


def _total(parts: list[SdPartRecord]) -> float:
    """Return the root of the sum of the squares."""
    return float(sum(p["sd"] ** 2 for p in parts) ** 0.5)
