"""Echoes whose magnitudes have scales of their own, as where a converter left out the scanner's scale of each image.

Tissue decays as exp(-TE R2*), so that the log of the magnitude is a line over echo time. What every voxel shares beside
that line is the images' scale; a part of it that is itself a line looks like R2*.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

MAX_DEVIATION = 0.06
"""Largest deviation of the median log magnitude from a line over echo time: 0.005 on real and simulated heads."""
MAX_GROWTH = 0.03
"""Largest growth of the median log magnitude from one echo to the next: tissue only decays."""
R2STAR_HZ = 10.0
"""R2* of brain tissue at a field strength of 0, extrapolated, 1/s."""
R2STAR_PER_TESLA_HZ = 3.5
"""Growth of it with the field strength, 1/s per tesla: 15, 20 and 34 at 1.5, 3 and 7 T (Peters et al. 2007,
doi:10.1016/j.mri.2007.02.014)."""

R2STAR_RANGE_HZ = (5.0, 100.0)
"""R2* of brain tissue at any field strength, 1/s."""


class EchoScales(NamedTuple):
    """Scale of each echo's magnitude, relative to the first, and the fact that shows it."""

    scales: FloatArray
    """(echo,), 1 for the first."""
    fact: str
    """Sentence without full stop."""


def find_echo_scales(
    magnitude: FloatArray,
    te_s: tuple[float, ...],
    b0_tesla: float,
    *,
    magnitude_is_shared: bool,
    converter: str = "",
) -> EchoScales | None:
    """Return the scales by which the echoes' magnitudes differ from tissue's decay; None where they show a decay.

    Parameters
    ----------
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude.
    te_s : tuple of float
        Echo times, s.
    b0_tesla : float
        Field strength, T: it says how fast tissue decays, which scales of their own hide.
    magnitude_is_shared : bool
        Whether one magnitude serves several echoes.
    converter : str, optional
        Program that has written images and echo times from DICOM, as their sidecars state it.
    """
    logs = _median_logs(magnitude)
    if len(te_s) < 2 or logs is None:
        return None
    te = np.array(te_s) - te_s[0]
    line = np.polyval(np.polyfit(te, logs, 1), te)
    deviation, growth = float(np.abs(logs - line).max()), float(np.diff(logs).max())
    if not magnitude_is_shared and deviation <= MAX_DEVIATION and growth <= MAX_GROWTH:
        return None
    scales = np.exp(logs + te * (R2STAR_HZ + R2STAR_PER_TESLA_HZ * b0_tesla))
    if magnitude_is_shared:
        return EchoScales(
            scales, "one magnitude serves several echoes: lesions are fitted to the phase alone"
        )
    shown = ", ".join(f"{v:.2f}" for v in np.exp(logs))
    return EchoScales(
        scales,
        f"the magnitudes of the echoes ({shown} of the first) follow no decay: each has a scale of its own"
        + _order_hint(logs, te, converter),
    )


def _order_hint(logs: FloatArray, te: FloatArray, converter: str) -> str:
    """Return the order in which echoes that look exchanged decay as tissue does; empty where none does."""
    order = np.argsort(-logs, kind="stable")
    slope, offset = np.polyfit(te, logs[order], 1)
    is_line = np.abs(slope * te + offset - logs[order]).max() <= MAX_DEVIATION
    if len(te) < 3 or not is_line or not R2STAR_RANGE_HZ[0] < -slope < R2STAR_RANGE_HZ[1]:
        return ""
    numbers = ", ".join(str(i + 1) for i in order)
    fact = f", unless files and echo times are in two orders: in the order {numbers} the images decay as tissue does; "
    if converter:
        return f"{fact}then import the DICOM files again ({converter} has written both), and rename no image"
    return f"{fact}then give them in that order, or correct EchoTime"


def _median_logs(magnitude: FloatArray) -> FloatArray | None:
    """Return the median log of each echo's magnitude over the first's in tissue; None where nothing has signal."""
    total = np.sqrt(np.mean(np.square(magnitude, dtype=np.float32), axis=0))
    bright = (total > total.mean()) & (magnitude > 0).all(axis=0)
    if not bright.any():
        return None
    first = magnitude[0][bright]
    return np.array([np.median(np.log(echo[bright] / first)) for echo in magnitude])
