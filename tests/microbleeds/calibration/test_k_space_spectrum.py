"""What the reconstruction did to k-space, found from the image."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.calibration.k_space_spectrum import find_k_space_windows
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindow
from qsmcmb.model import GreScan, Grid

SHAPE = (80, 96, 72)
NOISE = 0.02


def found_in(
    windows: tuple[KSpaceWindow, KSpaceWindow, KSpaceWindow], rng: np.random.Generator
) -> Acquisition:
    """Return what is found in a ball of tissue, heterogeneous as the inverse square of the frequency, with noise."""
    k = [2 * np.fft.fftfreq(n) for n in SHAPE]
    radius2 = k[0][:, None, None] ** 2 + k[1][:, None] ** 2 + k[2] ** 2
    heterogeneity = np.fft.ifftn(np.fft.fftn(rng.standard_normal(SHAPE)) / (radius2 + 0.003)).real
    x, y, z = (np.linspace(-1, 1, n) for n in SHAPE)
    radius = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)
    inside = radius < 0.85
    # Noise of an acquired voxel: its SD in the image is less by the part of k-space that is filled.
    filled = np.sqrt(np.prod([w.edge for w in windows]))
    noise = NOISE / filled * (rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE))
    # A soft border, since a sharp one rings into the noise.
    tissue = np.clip(5 - 5 * radius, 0, 1) * (1 + 0.05 * heterogeneity / heterogeneity.std())
    spectrum = np.fft.fftn(tissue + noise)
    for axis, (window, f) in enumerate(zip(windows, k, strict=True)):
        spectrum *= window.weight(f).reshape([-1 if a == axis else 1 for a in range(3)])
    image = np.fft.ifftn(spectrum)
    data = [f(image)[None].astype(np.float32) for f in (np.angle, np.abs)]
    return find_k_space_windows(GreScan(data[0], data[1], (0.01,), 3.0, Grid.isotropic(SHAPE, 1.0)), inside)


@pytest.mark.parametrize(
    "window",
    [
        KSpaceWindow(0.5),
        KSpaceWindow(0.7),
        KSpaceWindow(0.75, 0.5, 0.0),
        KSpaceWindow(1.0, 0.4, 0.0),
        KSpaceWindow(1.0, 1.0, 0.08),
    ],
    ids=["half", "part", "tukey, zero-filled", "tukey", "hamming"],
)
def test_window_is_found(window: KSpaceWindow, rng: np.random.Generator) -> None:
    acquired = found_in((window, FULL_K_SPACE[1], window), rng)
    k = np.linspace(0, 1, 200)
    for found in (acquired.windows[0], acquired.windows[2]):
        error = found.weight(k) - window.weight(k)
        # A sharp edge may be 2.5 % off.
        assert np.sqrt(np.mean(error**2)) < (0.16 if window.taper == 0 else 0.06)
    assert acquired.windows[1] == FULL_K_SPACE[1]
    # A filter takes the noise away where it differs from tissue: what is left of tissue counts as noise.
    assert acquired.noise_sd == pytest.approx(NOISE, rel=0.4 if window.taper == 1 else 0.25)


def test_an_image_that_was_left_alone_is_taken_as_it_is(rng: np.random.Generator) -> None:
    acquired = found_in(FULL_K_SPACE, rng)
    assert acquired.windows == FULL_K_SPACE
    assert acquired.noise_sd == pytest.approx(NOISE, rel=0.1)


@pytest.mark.parametrize("shape", [(40, 40, 6), (40, 5, 5)])
def test_nothing_is_looked_for_along_few_samples(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    magnitude = (1 + 0.05 * rng.standard_normal((1, *shape))).astype(np.float32)
    scan = GreScan(np.zeros_like(magnitude), magnitude, (0.01,), 3.0, Grid.isotropic(shape, 1.0))
    assert find_k_space_windows(scan, np.ones(shape, bool)).windows[2] == FULL_K_SPACE[2]
