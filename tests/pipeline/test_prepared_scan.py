"""A prepared scan says so itself: nothing is corrected or reported twice."""

from __future__ import annotations

import numpy as np

from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.clock import Clock
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.subject import prepare_scan


def test_a_prepared_scan_stays_as_it_is(rng: np.random.Generator) -> None:
    grid = Grid.isotropic((12, 12, 13), 1.0)
    phase = np.zeros((1, *grid.shape), np.float32)
    phase[..., 1::2] = -np.pi
    magnitude = rng.uniform(1, 2, phase.shape).astype(np.float32)
    scan = GreScan(phase, magnitude, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    config, clock = make_config({"prepare": {"slice_flips": "correct"}}), Clock(scan.name, None)
    prepared = prepare_scan(scan, config, clock)
    assert not scan.is_prepared
    assert len(prepared.warnings) == 1
    assert prepare_scan(prepared, config, clock) is prepared
