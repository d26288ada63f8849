"""The receiver's phase at TE = 0: found from the first two echoes, smooth, taken off all."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.receive_phase import remove_phase_offset
from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping.romeo import unwrap_volume
from tests.scenes.echoes import TE_S, smooth_field_hz, times, wrap
from tests.scenes.geometry import OBLIQUE, coordinates_mm, ellipsoid

MASK = ellipsoid(OBLIQUE, (9.0, 8.5, 8.0))


def offset_rad() -> FloatArray:
    """Return a phase that turns once across the head."""
    x, y, _ = coordinates_mm(OBLIQUE)
    return np.asarray(1.2 + 0.25 * x - 0.15 * y)


def scan(noise: float = 0.0) -> tuple[FloatArray, FloatArray]:
    signal = np.exp(
        1j * (2 * np.pi * times(TE_S) * smooth_field_hz(OBLIQUE) / 4 + offset_rad()) - 20 * times(TE_S)
    )
    real, imag = np.random.default_rng(3).standard_normal((2, *signal.shape))
    noisy = signal + noise * (real + 1j * imag)
    return np.angle(noisy).astype(np.float32), np.abs(noisy).astype(np.float32)


def unwrapper(mask: BoolArray = MASK):  # type: ignore[no-untyped-def]
    return lambda phase, magnitude: unwrap_volume(phase, magnitude, mask)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_sloping_offset_is_found_and_taken_off_every_echo(noise: float) -> None:
    phase, magnitude = scan(noise)
    found = remove_phase_offset(
        phase, magnitude, MASK, OBLIQUE, te_s=TE_S, unwrapper=unwrapper(), sigma_mm=2.0
    )
    away = wrap(found.offset_rad - offset_rad())[MASK]
    # Up to whole turns of the difference: these turn the offset by TE1 / (TE2 - TE1) of one.
    turn = 2 * np.pi * TE_S[0] / (TE_S[1] - TE_S[0])
    rest = min((wrap(away - n * turn) for n in range(-2, 3)), key=lambda r: float(np.abs(r).mean()))
    assert np.abs(rest).max() < (0.06 if noise == 0 else 0.25)
    np.testing.assert_allclose(wrap(phase - found.offset_rad - found.phase_rad), 0, atol=1e-5)
    assert found.phase_rad.dtype == found.offset_rad.dtype == np.float32
    assert found.phase_rad.min() >= -np.pi - 1e-6
    assert not found.offset_rad[~MASK].any()


def test_a_wide_window_smooths_more() -> None:
    phase, magnitude = scan(0.2)
    rough, smooth = (
        remove_phase_offset(
            phase, magnitude, MASK, OBLIQUE, te_s=TE_S, unwrapper=unwrapper(), sigma_mm=s
        ).offset_rad
        for s in (1.0, 4.0)
    )
    bend = [
        np.abs(wrap(o[2:] - 2 * o[1:-1] + o[:-2]))[MASK[2:] & MASK[1:-1] & MASK[:-2]].mean()
        for o in (rough, smooth)
    ]
    assert bend[1] < 0.2 * bend[0]


def test_one_echo_comes_back_as_it_is() -> None:
    phase, magnitude = scan()
    found = remove_phase_offset(phase[:1], magnitude[:1], MASK, OBLIQUE, te_s=TE_S[:1], unwrapper=unwrapper())
    np.testing.assert_array_equal(found.phase_rad, phase[:1])
    assert not found.offset_rad.any()


@pytest.mark.parametrize("sigma_mm", [-0.1, 101.0, np.nan])
def test_a_window_out_of_range_is_refused(sigma_mm: float) -> None:
    phase, magnitude = scan()
    with pytest.raises(InvalidInputError, match=r"sigma_mm = .*; expected a number from 0 to 100"):
        remove_phase_offset(
            phase, magnitude, MASK, OBLIQUE, te_s=TE_S, unwrapper=unwrapper(), sigma_mm=sigma_mm
        )
