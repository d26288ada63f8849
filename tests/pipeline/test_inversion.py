"""Inversion methods that start before the local field, through the pipeline's own way of calling them."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb import dipole_inversion
from qsmcmb.core.dipole import forward_field
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline import config as configuration
from qsmcmb.pipeline.inversion import Inversion, PhaseToField, local_field_of
from qsmcmb.pipeline.provenance import provenance_of
from qsmcmb.units import GAMMA_MHZ_PER_T

GRID = Grid.isotropic((24, 24, 24), 1.0)
TE_S = (0.004, 0.010)
CALLS = []


def record_start(field, mask, grid, *, te_s=None, b0_tesla=None):
    """Keep what the method was given.

    Parameters
    ----------
    field, mask, grid, te_s, b0_tesla
        As for any method.
    """
    CALLS.append((field, mask, te_s, b0_tesla))
    return np.where(mask, 1.0, 0.0).astype(np.float32)


@pytest.fixture
def scan(rng):
    mask = np.zeros(GRID.shape, bool)
    mask[4:20, 4:20, 4:20] = True
    chi = np.where(mask, 0.1 * rng.standard_normal(GRID.shape), 0).astype(np.float32)
    field_hz = forward_field(chi, GRID) * np.float32(GAMMA_MHZ_PER_T * 3)
    offset = np.float32(0.7)
    phase = np.stack([2 * np.pi * np.float32(t) * field_hz + offset for t in TE_S])
    wrapped = np.angle(np.exp(1j * phase)).astype(np.float32)
    made = GreScan(wrapped, np.ones_like(wrapped), TE_S, 3.0, GRID)
    sd = np.full(GRID.shape, 0.5, np.float32)
    return made, PhaseToField(mask, np.full(GRID.shape, offset), field_hz, sd)


@pytest.fixture(params=["total field", "wrapped phase", ""])
def start(request, monkeypatch):
    target = f"{__name__}:record_start"
    monkeypatch.setitem(dipole_inversion.METHODS, "recorder", target)
    if request.param:
        monkeypatch.setitem(dipole_inversion.STARTS_FROM, "recorder", request.param)
    CALLS.clear()
    return request.param


def test_methods_get_what_they_start_from(scan, start):
    made, phase = scan
    config = configuration.make_config({"background": {"method": "vsharp"}, "invert": {"method": "recorder"}})
    local = None if config.replaced("background") else local_field_of(phase, made, config)
    inversion = Inversion(made, config, phase, local)
    chi = inversion.of_scan()
    field, mask, te_s, b0_tesla = CALLS[0]
    inner = tuple(slice((n - 16) // 2, (n - 16) // 2 + 16) for n in mask.shape)
    truth = phase.total_field_hz[4:20, 4:20, 4:20]
    if start == "wrapped phase":
        assert field.shape == (2, *mask.shape)
        # The receiver's offset is off, the field's turns are not.
        np.testing.assert_allclose(field[1][inner], 2 * np.pi * TE_S[1] * truth, atol=1e-4)
    elif start == "total field":
        np.testing.assert_allclose(field[inner], truth / (GAMMA_MHZ_PER_T * 3), atol=1e-6)
    else:
        assert mask.sum() < phase.mask.sum()
    assert (te_s, b0_tesla) == (TE_S, 3.0)
    assert (inversion.mask == phase.mask).all() == bool(start)
    assert chi.shape == inversion.local_field_hz(chi).shape == GRID.shape
    assert not inversion.local_field_hz(chi)[~inversion.mask].any()


def test_any_field_goes_the_same_way(scan, start):
    made, phase = scan
    config = configuration.make_config({"background": {"method": "vsharp"}, "invert": {"method": "recorder"}})
    local = None if config.replaced("background") else local_field_of(phase, made, config)
    inversion = Inversion(made, config, phase, local)
    field_ppm = np.where(inversion.mask, np.float32(0.01), 0).astype(np.float32)
    inversion.of_field(field_ppm)
    given = CALLS[-1][0]
    turns = 2 * np.pi * GAMMA_MHZ_PER_T * 3 * TE_S[1] if start == "wrapped phase" else 1.0
    assert np.max(given[1] if given.ndim == 4 else given) == pytest.approx(0.01 * turns, rel=1e-5)
    # The field of sources goes through the background removal too, where the scan's does.
    inversion.of_sources(np.full(GRID.shape, 0.01, np.float32))
    given = CALLS[-1][0]
    given = given[1] if given.ndim == 4 else given
    assert np.abs(given).max() == pytest.approx(0.01 * turns if start else 0.0, abs=1e-5)


def test_provenance_says_what_was_replaced(scan, start):
    config = configuration.make_config({"background": {"method": "vsharp"}, "invert": {"method": "recorder"}})
    background = dict(provenance_of(scan[0], config).steps)["background"]
    if start:
        assert background == {"method": "none", "reason": f"recorder starts from the {start}"}
    else:
        assert background["method"] == config["background"].method
    assert dict(provenance_of(scan[0], config).steps)["unwrap"]["method"] == "romeo"


def test_every_map_has_the_weights_of_the_scan(scan, monkeypatch):
    """The response to lesions alone would ask for other weights than the scan's map."""
    made, phase = scan
    told = []

    def record(field, mask, grid, *, weights_field_ppm=None):
        told.append(field if weights_field_ppm is None else weights_field_ppm)
        return np.where(mask, 1.0, 0.0).astype(np.float32)

    monkeypatch.setattr("qsmcmb.dipole_inversion.head.resolve", lambda methods, name: record)
    monkeypatch.setattr(
        "qsmcmb.dipole_inversion.head.call_method",
        lambda m, n, o, *a, context: record(*a, weights_field_ppm=context["weights_field_ppm"]),
    )
    config = configuration.make_config({"background": {"method": "vsharp"}, "invert": {"method": "huber"}})
    inversion = Inversion(made, config, phase, local_field_of(phase, made, config))
    inversion.of_scan()
    inversion.of_sources(0.1 * np.ones(GRID.shape, np.float32))
    np.testing.assert_array_equal(told[0], told[1])
    assert told[0].any()
