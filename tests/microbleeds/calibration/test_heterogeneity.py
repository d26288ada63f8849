"""How much the tissue varies, relative to a brain: 0 for a liquid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from qsmcmb.microbleeds.calibration.heterogeneity import tissue_heterogeneity
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.tissue import MIN_HETEROGENEITY
from tests.scenes.patches import scanned


def reference_patches(rng: np.random.Generator, *, heterogeneity: float) -> list[Patch]:
    """Return lesion-free patches with noise, and with bumps of 3 mm of this SD in the magnitude."""
    empty = scanned(np.array([[0.0, 0.0, 0.0, 0.0, 0.1]]))
    made = []
    for _ in range(6):
        bumps = ndimage.gaussian_filter(rng.standard_normal(empty.inside.shape), 1.5)
        noise = rng.standard_normal((2, *empty.signal.shape)) * empty.acquisition.noise_sd
        signal = empty.signal * np.exp(heterogeneity * bumps / bumps.std()) + noise[0] + 1j * noise[1]
        made.append(replace(empty, signal=signal.astype(np.complex64)))
    return made


def test_a_liquid_has_no_heterogeneity_and_tissue_has_it(rng: np.random.Generator) -> None:
    water = tissue_heterogeneity(reference_patches(rng, heterogeneity=0.0))
    assert water < MIN_HETEROGENEITY
    assert tissue_heterogeneity(reference_patches(rng, heterogeneity=0.06)) == 1.0
    # Too few to say.
    assert tissue_heterogeneity(reference_patches(rng, heterogeneity=0.0)[:2]) == 1.0
