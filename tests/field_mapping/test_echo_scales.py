"""Magnitudes whose echoes follow no decay are told from those that do, and brought to one."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.field_mapping.echo_scales import find_echo_scales
from qsmcmb.field_mapping.preparation import prepare_phase
from qsmcmb.typing import FloatArray

TE_S = (0.006, 0.013, 0.020, 0.027)


def tissue(te_s: tuple[float, ...], r2star_hz: float = 18.0) -> FloatArray:
    """Return magnitudes of a block with a spread of R2*, and of the noise around it."""
    rng = np.random.default_rng(8)
    shape = (16, 16, 16)
    rate = r2star_hz * rng.uniform(0.7, 1.4, shape)
    inside = np.zeros(shape, bool)
    inside[3:-3, 3:-3, 3:-3] = True
    signal = np.stack([np.where(inside, 100 * np.exp(-t * rate), 0) for t in te_s])
    return np.abs(signal + rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))


@pytest.mark.parametrize("te_s", [(0.02,), (0.002, 0.04), TE_S, (0.003, 0.015, 0.045)])
@pytest.mark.parametrize("r2star_hz", [0.5, 18.0, 40.0])
def test_a_decay_is_no_scale(te_s: tuple[float, ...], r2star_hz: float) -> None:
    assert find_echo_scales(tissue(te_s, r2star_hz), te_s, 3.0, magnitude_is_shared=False) is None


@pytest.mark.parametrize("scales", [(1.0, 1.6, 0.7, 2.2), (1.0, 1.0, 0.8, 1.0), (1.0, 1.2, 1.44, 1.728)])
def test_scales_of_their_own_are_found_and_taken_out(scales: tuple[float, ...]) -> None:
    magnitude = tissue(TE_S, 20.5) * np.array(scales)[:, None, None, None]
    found = prepare_phase(0 * magnitude, magnitude, te_s=TE_S, b0_tesla=3.0)
    assert not found.decay_known
    assert "a scale of its own" in found.warnings[-1]
    ratio = found.magnitude / tissue(TE_S, 20.5)
    np.testing.assert_allclose(ratio, ratio[0, 8, 8, 8], rtol=0.03)
    told = prepare_phase(0 * magnitude, magnitude, te_s=TE_S, b0_tesla=3.0, echo_scales="warn")
    np.testing.assert_array_equal(told.magnitude, magnitude)
    assert (
        prepare_phase(0 * magnitude, magnitude, te_s=TE_S, b0_tesla=3.0, echo_scales="ignore").warnings == ()
    )


def test_one_magnitude_for_all_echoes_is_given_a_decay() -> None:
    magnitude = np.repeat(tissue(TE_S)[:1], 4, axis=0)
    found = find_echo_scales(magnitude, TE_S, 3.0, magnitude_is_shared=True)
    assert found is not None
    assert found.scales[-1] == pytest.approx(np.exp(20.5 * (TE_S[-1] - TE_S[0])))


def test_copies_of_one_magnitude_are_found_in_the_arrays() -> None:
    magnitude = tissue(TE_S)
    assert not prepare_phase(0 * magnitude, magnitude, te_s=TE_S, b0_tesla=3.0).magnitude_is_shared
    for echoes in ([0, 0, 0, 0], [0, 1, 2, 2]):
        found = prepare_phase(0 * magnitude, magnitude[echoes], te_s=TE_S, b0_tesla=3.0)
        assert found.magnitude_is_shared
        assert not found.decay_known
        assert "the phase alone" in found.warnings[-1]


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (0, 2, 1, 3)])
def test_files_in_another_order_than_their_echo_times_are_suspected(order: tuple[int, ...]) -> None:
    found = find_echo_scales(tissue(TE_S)[list(order)], TE_S, 3.0, magnitude_is_shared=False)
    assert found is not None
    right = ", ".join(str(order.index(i) + 1) for i in range(4))
    assert f"in the order {right} the images decay" in found.fact
    assert "correct EchoTime" in found.fact
    imported = prepare_phase(
        0 * tissue(TE_S), tissue(TE_S)[list(order)], te_s=TE_S, b0_tesla=3.0, converter="dcm2niix"
    ).warnings[-1]
    assert "import the DICOM files again (dcm2niix has written both)" in imported
    assert "EchoTime" not in imported
    odd = tissue(TE_S) * np.array((1.0, 1.6, 0.7, 2.2))[:, None, None, None]
    found = find_echo_scales(odd, TE_S, 3.0, magnitude_is_shared=False)
    assert found is not None
    assert "order" not in found.fact
