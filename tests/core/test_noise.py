"""Noise of a magnitude image: known noise is found beside anatomy, whatever its scale."""

import numpy as np
import pytest

from qsmcmb.core.noise import noise_from_magnitude


def image(rng: np.random.Generator, sd: float, shape: tuple[int, int, int] = (40, 38, 36)) -> np.ndarray:
    """Return the magnitude of a smooth object with an edge, in complex noise."""
    x, y, z = (
        np.linspace(-1, 1, n).reshape([-1 if a == i else 1 for a in range(3)]) for i, n in enumerate(shape)
    )
    signal = 100 * (1 + 0.5 * x - 0.3 * y * z) * np.where(x > 0.3, 0.7, 1.0)
    noise = rng.standard_normal((2, *shape)) * sd
    return np.abs(signal + noise[0] + 1j * noise[1])


@pytest.mark.parametrize("sd", [0.5, 2.0, 8.0])
def test_known_noise_is_found(sd: float, rng: np.random.Generator) -> None:
    magnitude = image(rng, sd)
    assert noise_from_magnitude(magnitude, np.ones(magnitude.shape, bool)) == pytest.approx(sd, rel=0.04)


def test_what_lies_outside_the_mask_is_not_read(rng: np.random.Generator) -> None:
    magnitude = image(rng, 2.0)
    mask = np.zeros(magnitude.shape, bool)
    mask[8:30, 8:30, 8:30] = True
    spoiled = np.where(mask, magnitude, 1e4 * rng.random(magnitude.shape))
    assert noise_from_magnitude(spoiled, mask) == noise_from_magnitude(np.where(mask, magnitude, 0), mask)


def test_it_scales_with_the_image_and_ignores_what_is_smooth(rng: np.random.Generator) -> None:
    noise = rng.standard_normal((30, 30, 30)).astype(np.float32)
    mask = np.ones(noise.shape, bool)
    one = noise_from_magnitude(noise, mask)
    assert noise_from_magnitude(4 * noise, mask) == pytest.approx(4 * one)
    x, y, z = (
        np.arange(30, dtype=np.float32).reshape([-1 if a == i else 1 for a in range(3)]) for i in range(3)
    )
    assert noise_from_magnitude(noise + 8 * x + 4 * y * z, mask) == pytest.approx(one, rel=1e-3)


def test_a_mask_of_single_voxels_is_read_by_its_box(rng: np.random.Generator) -> None:
    magnitude = image(rng, 2.0)
    mask = np.zeros(magnitude.shape, bool)
    mask[::5, ::5, ::5] = True
    assert noise_from_magnitude(magnitude, mask) == pytest.approx(2.0, rel=0.04)


def test_an_image_without_noise_gives_a_positive_number() -> None:
    assert noise_from_magnitude(np.ones((8, 8, 8)), np.ones((8, 8, 8), bool)) > 0
