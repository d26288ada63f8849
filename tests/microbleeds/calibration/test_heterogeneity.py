"""How much the tissue varies, relative to a brain: 0 for a liquid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.microbleeds.calibration.heterogeneity import tissue_heterogeneity
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.tissue import MIN_HETEROGENEITY
from tests.scenes.patches import scanned, small_patch, with_acquisition


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


@pytest.mark.parametrize(
    ("sd", "noise_sd", "expected"), [(0.01, 0.0, 0.5), (0.01, 0.004, 0.3), (0.05, 0.0, 1.0)]
)
def test_the_excess_over_the_noise_is_compared_with_a_brains(
    rng: np.random.Generator, sd: float, noise_sd: float, expected: float
) -> None:
    """White log magnitude of this SD, in tissue of 0.5: its variance less that of the noise that is stated."""
    patch = with_acquisition(small_patch(), noise_sd=noise_sd)
    made = [
        replace(
            patch,
            signal=0.5 * np.exp(sd * rng.standard_normal(patch.signal.shape)).astype(np.complex64),
            field_hz=0 * patch.field_hz,
        )
        for _ in range(12)
    ]
    # Of 351 voxels polynomials take 14 functions.
    found = tissue_heterogeneity(made)
    assert found == pytest.approx(expected, rel=0.08)
    # The median: two patches that are wild or still change little.
    wild = [replace(made[0], signal=np.exp(np.log(m.signal) * 30)) for m in made[:2]]
    assert tissue_heterogeneity([*made, *wild]) == pytest.approx(found, rel=0.15)


def test_less_than_noise_is_none(rng: np.random.Generator) -> None:
    patch = with_acquisition(small_patch(), noise_sd=0.2)
    smooth = replace(patch, signal=np.ones_like(patch.signal), field_hz=0 * patch.field_hz)
    assert tissue_heterogeneity([smooth] * 5) == 0.0
    assert tissue_heterogeneity([smooth] * 4) == 1.0
