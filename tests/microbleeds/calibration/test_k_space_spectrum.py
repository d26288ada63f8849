"""What the reconstruction did to k-space, found from the image."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb.microbleeds.calibration.k_space_spectrum as module
from qsmcmb.microbleeds.calibration.k_space_spectrum import find_k_space_windows, noise_retained
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


@pytest.mark.parametrize(
    "window", [KSpaceWindow(0.5), KSpaceWindow(1.0, 0.4, 0.0), KSpaceWindow(0.8, 1.0, 0.08)], ids=str
)
def test_noise_that_is_left_is_that_of_differences_of_filtered_noise(
    window: KSpaceWindow, rng: np.random.Generator
) -> None:
    """Neighbouring voxels of the acquired matrix differ by less where a filter has taken high frequencies away."""
    noise = rng.standard_normal((400, 512)) + 1j * rng.standard_normal((400, 512))
    k = 2 * np.fft.fftfreq(512)
    filtered = np.fft.ifft(np.fft.fft(noise, axis=1) * window.weight(window.edge * k), axis=1)
    expected = np.std(np.diff(filtered, axis=1)) / np.std(np.diff(noise, axis=1))
    assert noise_retained(window) == pytest.approx(expected, rel=0.01)


def test_a_cropped_image_is_the_same_on_the_acquired_matrix() -> None:
    x = np.arange(40)
    # Two periods along x and three along y are well inside of what was acquired.
    image = (2 + np.exp(2j * np.pi * 2 * x / 40))[:, None, None] * (1 + np.cos(2 * np.pi * 3 * x / 40))[
        :, None
    ]
    image = np.broadcast_to(image, (40, 40, 8)).astype(np.complex64)
    found = module._crop_k_space(image, (KSpaceWindow(0.5), KSpaceWindow(0.76), KSpaceWindow()))
    assert found.shape == (20, 30, 8)
    u, v = np.arange(20), np.arange(30)
    expected = (2 + np.exp(2j * np.pi * 2 * u / 20))[:, None] * (1 + np.cos(2 * np.pi * 3 * v / 30))
    np.testing.assert_allclose(found[..., 3], expected, atol=1e-5)


def test_the_taper_fits_the_mask_and_ends_at_it() -> None:
    index = np.indices((40, 44, 48)) - np.reshape((19.0, 22.0, 25.0), (3, 1, 1, 1))
    half = np.reshape((12.0, 15.0, 18.0), (3, 1, 1, 1))
    radius = np.sqrt(((index / half) ** 2).sum(axis=0))
    taper, box = module._ellipsoid_taper(radius < 1)
    expected = np.where(radius < 1, np.cos(0.5 * np.pi * radius) ** 2, 0)
    np.testing.assert_allclose(taper, expected[box], atol=0.02)
    outside = np.ones(radius.shape, bool)
    outside[box] = False
    assert not (radius < 0.95)[outside].any()


def test_families_have_their_free_parameters_in_order() -> None:
    family = module._WindowFamily(None, 0.5, None, ((0.7, 0.1),))
    assert family.window(np.array([0.6, 0.3])) == KSpaceWindow(0.6, 0.5, 0.3)
    assert family.bounds() == [(0.4, 1.0), (0.0, 1.0)]
    for kind in module.KINDS:
        for family in kind:
            for start in family.starts:
                assert len(start) == len(family.bounds())
                window = family.window(np.array(start))
                assert 0.4 <= window.edge <= 1
    names = [[f.window(np.array(f.starts[0])) for f in kind] for kind in module.KINDS]
    assert [w.taper for w in names[0]] == [0.0]
    assert {(w.taper, w.height) for w in names[1]} == {(1.0, 0.08)}
    assert all(w.height == 0 and w.taper > 0 for w in names[2])


def test_a_spectrum_is_that_of_lines_away_from_the_axis() -> None:
    """Power that depends on the distance from the axis alone: both groups have the mean log power of their lines."""
    n = (32, 24, 40)
    f = [2 * np.abs(np.fft.fftfreq(m)) for m in n]
    distance = np.hypot(f[1][:, None] / 0.8, f[2] / 1.0)
    along = 1 + np.arange(32) / 7.0
    power = along[:, None, None] * np.exp(-3 * distance)
    windows = (KSpaceWindow(0.6), KSpaceWindow(0.8), KSpaceWindow())
    size = np.array([1.0, 1.2, 0.9])
    found = module._spectrum_along(power, np.ones((32, 4, 4)), 0, size, windows)
    assert found is not None
    in_mm = np.hypot(f[1][:, None] / 1.2, f[2] / 0.9) * 1.0
    for group, (low, high) in enumerate(((0.15, 0.35), (0.4, 0.7))):
        chosen = (distance > low) & (distance < high)
        level = np.exp(np.mean(-3 * distance[chosen]))
        # Positive and negative frequencies are averaged.
        both = 0.5 * (along + np.roll(along[::-1], 1))[:17]
        np.testing.assert_allclose(found.power[group], level * both, rtol=1e-6)
        assert found.line_distance[group] == pytest.approx(np.sqrt(np.mean(in_mm[chosen] ** 2)))
    # A taper of ones leaks nothing.
    np.testing.assert_allclose(found.leakage, np.eye(32)[0], atol=1e-12)
    assert module._spectrum_along(power[:23], np.ones((23, 4, 4)), 0, size, windows) is None
    assert module._spectrum_along(power[:, :2, :2], np.ones((32, 2, 2)), 0, size, windows) is None


@pytest.mark.parametrize(
    ("costs", "expected"),
    [([14.0, 5.9, 4.0, 0.0], 1), ([3.0, 8.0, 4.0, 0.0], 0), ([14.0, 14.0, 13.0, 0.0], 3)],
)
def test_the_simplest_kind_that_is_about_as_good_is_taken_along_all_axes(
    monkeypatch: pytest.MonkeyPatch, costs: list[float], expected: int
) -> None:
    kinds = [KSpaceWindow(0.5 + k / 10) for k in range(4)]

    def fits(spectrum: object) -> list[tuple[float, KSpaceWindow]]:
        # One axis has all of the cost and one none: the sum counts, which may rise by 6 for each.
        share = {"a": 1.0, "b": 0.0}.get(str(spectrum))
        return [] if share is None else [(share * c, w) for c, w in zip(costs, kinds, strict=True)]

    monkeypatch.setattr(module, "_fit_kinds", fits)
    windows = module._choose_windows(["a", "none", None, "b"])  # type: ignore[list-item]
    assert windows == [kinds[expected], KSpaceWindow(), KSpaceWindow(), kinds[expected]]
