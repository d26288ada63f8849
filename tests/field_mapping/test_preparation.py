"""Faults of the phase: found where they are, not found where they are not, corrected only on demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.receive_phase import smooth_phase
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.field_mapping.bipolar import find_readout_phase, level_polarities
from qsmcmb.field_mapping.coils import combine_coils
from qsmcmb.field_mapping.phase_sign import MIN_DIFFERENCE_PPM, contrast_of_iron
from qsmcmb.field_mapping.preparation import prepare_phase
from qsmcmb.field_mapping.slice_flips import find_slice_flips
from qsmcmb.model import Grid
from qsmcmb.pipeline.config import make_config
from qsmcmb.typing import FloatArray
from qsmcmb.unwrapping.romeo import unwrap_volume

TE_S = (0.004, 0.008, 0.012, 0.016)
SHAPE = (22, 25, 20)


def wrap(values: FloatArray) -> FloatArray:
    return (values - 2 * np.pi * np.floor(values / (2 * np.pi) + 0.5)).astype(np.float32)


def scan(rng: np.random.Generator, shape: tuple[int, int, int] = SHAPE) -> tuple[FloatArray, FloatArray]:
    """A ball of signal in noise, with a field of a hundred Hz and a receive phase."""
    x, y, z = np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij")
    field = 4 * x - 3 * y + 0.4 * z**2
    truth = 2 * np.pi * np.array(TE_S)[:, None, None, None] * field + 0.5 + 0.05 * y
    signal = (x**2 + y**2 + z**2 < 9**2) * np.exp(1j * truth)
    noisy = signal + 0.05 * (rng.standard_normal(truth.shape) + 1j * rng.standard_normal(truth.shape))
    return np.angle(noisy).astype(np.float32), np.abs(noisy).astype(np.float32)


def same_phase(a: FloatArray, b: FloatArray, weight: FloatArray) -> bool:
    """Equal up to one constant in each echo."""
    turn = (weight**2 * np.exp(1j * (a - b))).sum(axis=(1, 2, 3))
    return bool((np.abs(turn) > 0.999 * (weight**2).sum(axis=(1, 2, 3))).all())


def test_sound_phase_is_handed_on_without_a_word(rng: np.random.Generator) -> None:
    phase, magnitude = scan(rng)
    found = prepare_phase(phase, magnitude, te_s=TE_S, b0_tesla=3.0, slice_flips="correct", bipolar="correct")
    assert found.warnings == ()
    assert found.phase_rad is phase


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("odd", [False, True])
def test_alternating_slices_are_found_along_any_axis(axis: int, odd: bool, rng: np.random.Generator) -> None:
    shape = tuple(n - n % 2 + odd for n in SHAPE)
    phase, magnitude = scan(rng, (shape[0], shape[1], shape[2]))
    flipped = phase.copy()
    lines = np.moveaxis(flipped, axis + 1, 0)
    lines[1::2] = wrap(lines[1::2] + np.pi)
    told = prepare_phase(flipped, magnitude, te_s=TE_S, b0_tesla=3.0)
    assert len(told.warnings) == 1
    assert f"along {'xyz'[axis]}" in told.warnings[0]
    assert "not corrected" in told.warnings[0]
    np.testing.assert_array_equal(told.phase_rad, flipped)
    mended = prepare_phase(flipped, magnitude, te_s=TE_S, b0_tesla=3.0, slice_flips="correct")
    assert "; corrected" in mended.warnings[0]
    assert same_phase(mended.phase_rad, phase, magnitude)
    again = prepare_phase(mended.phase_rad, magnitude, te_s=TE_S, b0_tesla=3.0)
    assert again.warnings == ()
    assert prepare_phase(flipped, magnitude, te_s=TE_S, b0_tesla=3.0, slice_flips="ignore").warnings == ()


@pytest.mark.parametrize("axis", [0, 2])
def test_bipolar_readout_is_found_and_levelled(axis: int, rng: np.random.Generator) -> None:
    phase, magnitude = scan(rng)
    ramp = (0.6 + 0.09 * np.arange(SHAPE[axis])).reshape([-1 if a == axis else 1 for a in range(3)])
    bipolar = phase.copy()
    bipolar[1::2] = wrap(bipolar[1::2] + ramp)
    told = prepare_phase(bipolar, magnitude, te_s=TE_S, b0_tesla=3.0)
    assert len(told.warnings) == 1
    assert f"along {'xyz'[axis]}" in told.warnings[0]
    np.testing.assert_array_equal(told.phase_rad, bipolar)
    mended = prepare_phase(bipolar, magnitude, te_s=TE_S, b0_tesla=3.0, bipolar="correct").phase_rad
    assert prepare_phase(mended, magnitude, te_s=TE_S, b0_tesla=3.0).warnings == ()
    left = wrap(mended[1:] - mended[:-1] - (phase[1:] - phase[:-1]))
    assert np.abs(left[:, magnitude.min(axis=0) > 0.5]).max() < 0.1


@pytest.mark.parametrize("te_s", [(0.004, 0.008), (0.004, 0.009, 0.012)])
def test_bipolar_is_not_judged_where_nothing_can_tell(
    te_s: tuple[float, ...], rng: np.random.Generator
) -> None:
    phase, magnitude = scan(rng)
    phase[1] = wrap(phase[1] + 1.0)
    n = len(te_s)
    assert prepare_phase(phase[:n], magnitude[:n], te_s=te_s, b0_tesla=3.0).warnings == ()


EVEN_TE_S = (0.004, 0.008, 0.012)


def readout(turn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return three echoes whose second is `turn` ahead of the line through the others, along x."""
    field = np.linspace(-1.0, 1.0, 5)[:, None]
    phase = np.stack([np.broadcast_to(e * field, (turn.size, 5, 4)) + 0.3 for e in (1.0, 2.0, 3.0)])
    phase[1] += turn[:, None, None]
    return wrap(phase), np.ones(phase.shape, np.float32)


@pytest.mark.parametrize(("slope", "offset"), [(0.06, 0.0), (-0.06, 0.4), (0.0, 0.9)])
def test_the_phase_between_polarities_is_measured(slope: float, offset: float) -> None:
    phase, magnitude = readout(offset + slope * np.arange(12))
    found = find_readout_phase(phase, magnitude, te_s=EVEN_TE_S)
    assert found is not None
    # Without a slope nothing says along which axis it reads.
    assert slope == 0 or found.axis == 0
    assert found.slope_rad == pytest.approx(slope, abs=1e-5)
    assert found.offset_rad == pytest.approx(offset, abs=1e-4)
    level = level_polarities(phase, found)
    assert find_readout_phase(level, magnitude, te_s=EVEN_TE_S) is None
    # Half of it was taken off each polarity.
    half = 0.5 * (offset + slope * np.arange(12))
    np.testing.assert_allclose(
        wrap(level[0] - phase[0]), np.broadcast_to(half[:, None, None], (12, 5, 4)), atol=1e-4
    )


@pytest.mark.parametrize(("ends_rad", "noticed"), [(0.49, False), (0.51, True)])
def test_it_is_noticed_from_half_a_radian_over_the_volume(ends_rad: float, noticed: bool) -> None:
    phase, magnitude = readout(ends_rad / 12 * np.arange(12))
    assert (find_readout_phase(phase, magnitude, te_s=EVEN_TE_S) is not None) == noticed


@pytest.mark.parametrize(("coherence", "told"), [(0.32, True), (0.28, False)])
def test_a_step_that_is_not_coherent_tells_nothing(coherence: float, told: bool) -> None:
    """Steps of 0.06 and to either side of it, so that their mean phasor is this long."""
    aside = np.arccos(coherence) / 2
    steps = 0.06 + aside * np.where(np.arange(12) % 2, 1, -1)
    phase, magnitude = readout(np.concatenate([[0.0], np.cumsum(steps)]))
    assert (find_readout_phase(phase, magnitude, te_s=EVEN_TE_S) is not None) == told
    # Every other voxel half a turn ahead is a flip of slices of less coherence.
    turns = np.arccos(-coherence) * (np.arange(13) % 2)
    flat = np.broadcast_to(turns[:, None, None], (13, 6, 6)).astype(np.float32)
    assert find_slice_flips(flat, np.ones_like(flat)) == ((0,) if told else ())


@pytest.mark.parametrize(("slope_deg", "flipped"), [(58.0, True), (62.0, False)])
def test_slices_alternate_while_they_oppose_by_more_than_a_third_of_a_turn(
    slope_deg: float, flipped: bool
) -> None:
    z = np.arange(10)
    line = wrap(np.radians(slope_deg) * z + np.pi * (z % 2))
    phase = np.broadcast_to(line, (5, 6, 10)).astype(np.float32)
    assert find_slice_flips(phase, np.ones_like(phase)) == ((2,) if flipped else ())


@pytest.mark.parametrize(("off", "judged"), [(0.019, True), (0.021, False)])
def test_echoes_may_be_uneven_by_two_percent(off: float, judged: bool) -> None:
    phase, magnitude = readout(0.1 * np.arange(12))
    te_s = (0.004, 0.008, 0.012 + off * 0.004)
    assert (find_readout_phase(phase, magnitude, te_s=te_s) is not None) == judged


def test_channels_are_combined_without_their_offsets(rng: np.random.Generator) -> None:
    grid = Grid.isotropic(SHAPE, 1.0)
    x, y, z = np.meshgrid(*(np.arange(n) - n / 2 for n in SHAPE), indexing="ij")
    mask = x**2 + y**2 + z**2 < 9**2
    truth = 2 * np.pi * np.array(TE_S)[:, None, None, None] * (4 * x - 3 * y + 0.4 * z**2)
    offsets = [0.3 + 0.1 * x, -2.0 + 0.08 * y, 2.5 - 0.06 * z, 1.0 + 0.05 * (x + z)]
    weights = [np.exp(-((x - 9 * np.cos(k)) ** 2 + (y - 9 * np.sin(k)) ** 2) / 400) for k in range(4)]
    coils = np.stack([mask * w * np.exp(1j * (truth + o)) for w, o in zip(weights, offsets, strict=True)])
    coils += 0.02 * (rng.standard_normal(coils.shape) + 1j * rng.standard_normal(coils.shape))
    combined = combine_coils(
        np.angle(coils).astype(np.float32), np.abs(coils).astype(np.float32), mask, grid, te_s=TE_S,
        unwrapper=lambda p, m: unwrap_volume(p, m, mask), sigma_mm=2.0,
    )  # fmt: skip
    inner = x**2 + y**2 + z**2 < 7**2
    left = wrap(combined.phase_rad - truth)[:, inner]
    assert np.abs(left).max() < 0.35
    assert np.std(left) < 0.08
    expected = np.sqrt(sum(w**2 for w in weights))
    assert np.abs(combined.magnitude[0] / expected - 1)[inner].max() < 0.1


def test_a_sloping_phase_is_smoothed_without_bias_at_the_masks_edge(rng: np.random.Generator) -> None:
    grid = Grid((30, 26, 24), (1.0, 1.2, 1.5), (0.0, 0.0, 1.0), np.diag([1.0, 1.2, 1.5, 1.0]))
    x, y, z = (a * v for a, v in zip(np.ogrid[:30, :26, :24], grid.voxel_size_mm, strict=True))
    mask = (x - 14) ** 2 + (y - 15) ** 2 + (z - 17) ** 2 < 11**2
    # Touches the volume's edge too, and is wrapped.
    mask[:, :, :12] |= (np.abs(x - 14) < 6)[:, :, 0:1] & (np.abs(y - 15) < 6)[:, :, 0:1]
    truth = 0.15 * x - 0.1 * y + 0.2 * z + 1.0
    smooth = smooth_phase(wrap(truth), 1 + 0.1 * np.cos(x / 3) * mask, mask, grid, 3.0)
    assert not smooth[~mask].any()
    assert np.abs(wrap(smooth - truth)[mask]).max() < 0.1
    curved = truth + 0.004 * (x - 14) ** 2
    noisy = curved + 0.3 * rng.standard_normal(grid.shape)
    left = wrap(smooth_phase(wrap(noisy), mask.astype(np.float32), mask, grid, 3.0) - curved)[mask]
    assert np.sqrt((left**2).mean()) < 0.05


def test_channels_of_one_echo_are_refused() -> None:
    grid = Grid.isotropic((8, 8, 8), 1.0)
    data = np.zeros((2, 1, 8, 8, 8), np.float32)
    with pytest.raises(InvalidInputError, match=r"echoes = 1; expected at least 2"):
        combine_coils(data, data, np.ones(grid.shape, bool), grid, te_s=(0.01,), unwrapper=lambda p, m: p)


def test_iron_tells_an_inverted_sign(rng: np.random.Generator) -> None:
    grid = Grid.isotropic((40, 40, 40), 1.0)
    iron = np.zeros(grid.shape, bool)
    iron[16:24, 14:20, 16:24] = True
    chi = 0.02 * rng.standard_normal(grid.shape) + 0.1 * iron
    rate = 20 + 2 * rng.standard_normal(grid.shape) + 25 * iron
    mask = np.ones(grid.shape, bool)
    right, wrong = (contrast_of_iron(sign * chi, rate, mask, grid) for sign in (1, -1))
    assert right is not None
    assert wrong is not None
    assert right > MIN_DIFFERENCE_PPM
    assert wrong < -MIN_DIFFERENCE_PPM
    few = Grid.isotropic((9, 9, 9), 1.0)
    assert contrast_of_iron(-chi[:9, :9, :9], rate[:9, :9, :9], mask[:9, :9, :9], few) is None


def test_choices_are_checked() -> None:
    phase = np.zeros((1, 8, 8, 8), np.float32)
    with pytest.raises(InvalidInputError, match="bipolar"):
        prepare_phase(phase, phase + 1, te_s=(0.01,), b0_tesla=3.0, bipolar="maybe")
    with pytest.raises(ConfigError, match="slice_flips"):
        make_config({"prepare": {"flips": "correct"}})
    assert 'slice_flips = "warn"' in make_config().to_toml()


@pytest.mark.shared
@pytest.mark.parametrize("session", ["15T", "7T"])
def test_heads_have_none_of_these_faults(session: str, shared_data: Path) -> None:
    loaded = qc.load_scan(shared_data / "heads", participant="dev01", session=session)
    assert (
        prepare_phase(loaded.phase_rad, loaded.magnitude, te_s=loaded.te_s, b0_tesla=loaded.b0_tesla).warnings
        == ()
    )


def test_an_echo_off_by_a_constant_is_named_and_turned_back_on_demand() -> None:
    rng = np.random.default_rng(7)
    grid = np.indices(SHAPE)
    field_hz = 3.0 * grid[0] + 8 * np.sin(grid[1] / 3) - 2.0 * grid[2]
    phase = np.stack([wrap(2 * np.pi * t * field_hz + 0.4) for t in TE_S])
    phase += 0.05 * rng.standard_normal(phase.shape)
    ones = np.ones_like(phase)
    assert prepare_phase(phase, ones, te_s=TE_S, b0_tesla=3.0).warnings == ()
    turned = phase.copy()
    turned[3] = wrap(turned[3] + 1.2)
    told = prepare_phase(turned, ones, te_s=TE_S, b0_tesla=3.0)
    assert "echo 4 by 1.2 rad" in told.warnings[0]
    assert "echo_offsets" in told.warnings[0]
    mended = prepare_phase(turned, ones, te_s=TE_S, b0_tesla=3.0, echo_offsets="correct").phase_rad
    assert np.abs(wrap(mended - phase)).max() < 0.02
    assert prepare_phase(turned, ones, te_s=TE_S, b0_tesla=3.0, echo_offsets="ignore").warnings == ()
    assert prepare_phase(turned[:2], ones[:2], te_s=TE_S[:2], b0_tesla=3.0).warnings == ()
