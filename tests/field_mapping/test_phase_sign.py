"""The sign of the phase from one echo: what is dark and narrow in the magnitude is paramagnetic."""

from __future__ import annotations

import numpy as np

from qsmcmb.field_mapping.phase_sign import contrast_of_the_dark
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.checks import find_map_faults

GRID = Grid.isotropic((56, 56, 40), 1.0)
MASK = np.ones(GRID.shape, bool)


def veins_and_falx(rng):
    """Return the map (ppm) and the magnitude of vessels across the slices, and of a dark diamagnetic plate."""
    x, y, _ = np.indices(GRID.shape)
    vessel = (x % 10 < 2) & (y % 10 < 2)
    plate = np.abs(x - 28) < 1
    chi = 0.3 * vessel * ~plate - 0.2 * plate + 0.01 * rng.standard_normal(GRID.shape)
    # Errors of one echo vary slowly and are larger than any tissue.
    chi = chi + 0.5 * np.sin(x / 20)
    magnitude = np.where(vessel, 0.6, 1.0) * np.where(plate, 0.5, 1.0) + 0.02 * rng.standard_normal(
        GRID.shape
    )
    return chi.astype(np.float32), magnitude.astype(np.float32)


def one_echo(magnitude, te_s, read_as=None):
    return GreScan(
        phase_rad=0 * magnitude[None], magnitude=magnitude[None], te_s=(te_s,), b0_tesla=3.0, grid=GRID,
        read_as=read_as or {},
    )  # fmt: skip


def test_veins_tell_the_sign_and_a_diamagnetic_falx_does_not(rng):
    chi, magnitude = veins_and_falx(rng)
    right, wrong = (contrast_of_the_dark(s * chi, magnitude, MASK, GRID) for s in (1, -1))
    assert right.mean > 5 * right.sd
    assert wrong.is_inverted
    assert not right.is_inverted
    tissue = 1 + 0.02 * rng.standard_normal(GRID.shape)
    assert not contrast_of_the_dark(-chi, tissue, MASK, GRID).is_inverted
    assert (
        contrast_of_the_dark(chi[:12, :12, :12], magnitude[:12, :12, :12], MASK[:12, :12, :12], GRID) is None
    )


def test_the_warning_names_the_option_that_mends_it_and_nothing_is_flipped(rng):
    chi, magnitude = veins_and_falx(rng)
    scan = one_echo(magnitude, 0.03)
    assert find_map_faults(scan, chi, None, MASK) == ()
    before = chi.copy()
    (said,) = find_map_faults(scan, -chi, None, MASK)
    assert "diamagnetic" in said
    assert said.endswith("(--phase-sign -1)")
    assert np.array_equal(chi, before)
    (again,) = find_map_faults(one_echo(magnitude, 0.03, {"PhaseSign": -1}), -chi, None, MASK)
    assert again.endswith("(--phase-sign 1)")


def test_a_short_echo_does_not_show_iron_and_that_is_said(rng):
    chi, magnitude = veins_and_falx(rng)
    for sign in (1, -1):
        (said,) = find_map_faults(one_echo(magnitude, 0.004), sign * chi, None, MASK)
        assert "nothing in the magnitude shows" in said
