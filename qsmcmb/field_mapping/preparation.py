"""Faults of phase and magnitude found before anything is computed: reported, and corrected only when asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.copies import find_copies
from qsmcmb.core.validate import check_choice
from qsmcmb.field_mapping.bipolar import find_readout_phase, level_polarities
from qsmcmb.field_mapping.echo_offsets import find_echo_offsets, turn_echoes
from qsmcmb.field_mapping.echo_scales import find_echo_scales
from qsmcmb.field_mapping.slice_flips import find_slice_flips, turn_slices
from qsmcmb.typing import FloatArray

__all__ = (
    "Prepared",
    "prepare_phase",
)

CHOICES = ("warn", "correct", "ignore")
"""Names of what is done about a fault: report it, report and correct it, do not look for it."""


class Prepared(NamedTuple):
    """Hold phase and magnitude and what was found in them.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase, rad.
    magnitude : ndarray of shape (echo, x, y, z), float32
        Magnitude, any unit.
    warnings : tuple of str
        One sentence for each fault.
    magnitude_is_shared : bool, optional
        Whether one magnitude serves several echoes.
    decay_known : bool, optional
        Whether the magnitudes show how the signal decays.

    Examples
    --------
    >>> zeros = np.zeros((1, 2, 2, 2), np.float32)
    >>> Prepared(zeros, zeros, ()).decay_known
    True
    """

    phase_rad: FloatArray
    magnitude: FloatArray
    warnings: tuple[str, ...]
    magnitude_is_shared: bool = False
    decay_known: bool = True


def prepare_phase(
    phase_rad: FloatArray,
    magnitude: FloatArray,
    *,
    te_s: tuple[float, ...],
    b0_tesla: float,
    magnitude_is_shared: bool = False,
    converter: str = "",
    slice_flips: str = "warn",
    bipolar: str = "warn",
    echo_offsets: str = "warn",
    echo_scales: str = "correct",
) -> Prepared:
    """Look for slices of alternating sign, a bipolar readout, and echoes with offsets or scales of their own.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, and magnitude, any unit.
    te_s : tuple of float
        Echo times, s, positive and ascending.
    b0_tesla : float
        Field strength, T.
    magnitude_is_shared : bool, optional
        Whether one magnitude serves several echoes; found here, too, where two of them are the same.
    converter : str, optional
        Program that has written images and echo times from DICOM, as their sidecars state it: warnings advise by it.
    slice_flips : {"warn", "correct", "ignore"}, optional
        Action where every other slice is turned by pi (GE).
    bipolar : {"warn", "correct", "ignore"}, optional
        Action where even and odd echoes differ by a phase along the readout.
    echo_offsets : {"warn", "correct", "ignore"}, optional
        Action where the phase of an echo is off by a constant.
    echo_scales : {"warn", "correct", "ignore"}, optional
        Action where the magnitudes of the echoes follow no decay.

    Returns
    -------
    Prepared
        Phase, magnitude and warnings; the very same arrays unless something was found that was to be corrected.

    Raises
    ------
    InvalidInputError
        Another choice.

    Notes
    -----
    Slices alternate where the mean step between neighbours is near pi: its cosine is below -0.5 and its coherence above
    0.3. The readout is bipolar where 2 phi_2 - phi_1 - phi_3, in which field and offset cancel, has a slope along one
    axis. Magnitudes have scales of their own where the median of their log leaves a line over echo time by 0.06, or
    grows by 0.03; they are brought to the decay of ordinary tissue, and R2* is unknown then.

    References
    ----------
    Bipolar readout: Lu et al. 2008. Water-fat separation with bipolar multiecho sequences. doi:10.1002/mrm.21583

    Examples
    --------
    >>> phase = np.zeros((1, 8, 8, 7), np.float32)
    >>> phase[..., 1::2] = -np.pi
    >>> found = prepare_phase(phase, np.ones_like(phase), te_s=(0.01,), b0_tesla=3.0, slice_flips="correct")
    >>> found.phase_rad.any()
    np.False_
    """
    check_choice("slice_flips", slice_flips, CHOICES)
    check_choice("bipolar", bipolar, CHOICES)
    check_choice("echo_offsets", echo_offsets, CHOICES)
    check_choice("echo_scales", echo_scales, CHOICES)
    phase_rad, warnings = _without_phase_faults(
        phase_rad, magnitude, te_s, slice_flips=slice_flips, bipolar=bipolar, echo_offsets=echo_offsets
    )
    magnitude_is_shared = magnitude_is_shared or bool(find_copies(list(magnitude)))
    scaled = None
    if echo_scales != "ignore":
        scaled = find_echo_scales(
            magnitude, te_s, b0_tesla, magnitude_is_shared=magnitude_is_shared, converter=converter
        )
    if scaled:
        warnings.append(_scale_warning(scaled.fact, echo_scales))
        if echo_scales == "correct":
            magnitude = (magnitude / scaled.scales[:, None, None, None]).astype(np.float32)
    return Prepared(
        phase_rad=np.asarray(phase_rad, np.float32), magnitude=magnitude, warnings=tuple(warnings),
        magnitude_is_shared=magnitude_is_shared, decay_known=not magnitude_is_shared and scaled is None,
    )  # fmt: skip


def _without_phase_faults(
    phase_rad: FloatArray,
    magnitude: FloatArray,
    te_s: tuple[float, ...],
    *,
    slice_flips: str,
    bipolar: str,
    echo_offsets: str,
) -> tuple[FloatArray, list[str]]:
    """Return the phase, corrected where that is asked for, and a sentence for each fault."""
    warnings: list[str] = []
    if slice_flips != "ignore":
        # The first echo has the most signal, and the flips are the same in all.
        axes = find_slice_flips(phase_rad[0], magnitude[0])
        if axes:
            names = ", ".join("xyz"[a] for a in axes)
            fact = f"phase turns by pi from slice to slice along {names}"
            warnings.append(_warning(fact, slice_flips, "slice_flips"))
            # Only when asked for: a wrong correction is worse than a warning.
            phase_rad = turn_slices(phase_rad, axes) if slice_flips == "correct" else phase_rad
    if bipolar != "ignore":
        # After the slices are right: their jumps would hide a slope.
        found = find_readout_phase(phase_rad, magnitude, te_s=te_s)
        if found:
            whole = abs(found.slope_rad) * phase_rad.shape[1 + found.axis]
            fact = (
                f"even and odd echoes differ by {whole:.1f} rad along {'xyz'[found.axis]} and "
                f"{found.offset_rad:.1f} rad everywhere: bipolar readout"
            )
            warnings.append(_warning(fact, bipolar, "bipolar"))
            phase_rad = level_polarities(phase_rad, found) if bipolar == "correct" else phase_rad
            # A difference of the polarities is a constant of every other echo, too.
            return phase_rad, warnings
    if echo_offsets != "ignore":
        off = find_echo_offsets(phase_rad, magnitude, te_s=te_s)
        if off:
            each = ", ".join(f"echo {o.echo + 1} by {o.offset_rad:.1f} rad" for o in off)
            first = " (or one of the first two is)" if len(off) == len(te_s) - 2 else ""
            fact = f"phase is off the line through the echoes everywhere: {each}{first}"
            warnings.append(_warning(fact, echo_offsets, "echo_offsets"))
            phase_rad = turn_echoes(phase_rad, off) if echo_offsets == "correct" else phase_rad
    return phase_rad, warnings


def _scale_warning(fact: str, choice: str) -> str:
    """Return the sentence on echoes without a decay."""
    if choice == "correct":
        return f"{fact}; brought to the decay of ordinary tissue, R2* is unknown"
    return f'{fact}; R2* is unknown: set echo_scales = "correct" in [prepare] for scales that are free'


def _warning(fact: str, choice: str, option: str) -> str:
    """Return the sentence that says what was found and whether it was corrected."""
    if choice == "correct":
        return f"{fact}; corrected"
    return f'{fact}; not corrected: set {option} = "correct" in [prepare] if that is so'
