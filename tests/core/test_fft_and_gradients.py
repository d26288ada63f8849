"""Transforms, differences and spherical means against their plain definitions."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsmcmb.core import fft
from qsmcmb.core.gradients import divergence, gradient, gradient_adjoint
from qsmcmb.core.morphology import (
    ball_footprint,
    bounding_box,
    capped_distance_inside_mm,
    distance_inside_mm,
    erode,
    largest_component,
)
from qsmcmb.core.smv import smv_ball, smv_kernel_k
from qsmcmb.errors import InvalidInputError


@pytest.mark.parametrize("with_pyfftw", [True, False])
def test_transform_pair(with_pyfftw, rng, monkeypatch):
    if not with_pyfftw:
        monkeypatch.setattr(fft, "pyfftw", None)
    fft.release()
    volume = rng.standard_normal((12, 15, 16)).astype(np.float32)
    spectrum = fft.rfftn(volume)
    np.testing.assert_allclose(spectrum, np.fft.rfftn(volume), atol=2e-4)
    np.testing.assert_allclose(fft.irfftn(spectrum, volume.shape), volume, atol=1e-5)
    fft.release()


@pytest.mark.parametrize("with_pyfftw", [True, False])
def test_inverse_leaves_the_scale_to_the_caller(with_pyfftw, rng, monkeypatch):
    if not with_pyfftw:
        monkeypatch.setattr(fft, "pyfftw", None)
    fft.release()
    eng = fft.engine((8, 12, 16))
    volume = rng.standard_normal(eng.shape).astype(np.float32)
    eng.real[...] = volume
    eng.forward()
    np.testing.assert_allclose(eng.inverse(normalise=False) * eng.scale, volume, atol=1e-5)
    fft.release()


@pytest.mark.parametrize("with_pyfftw", [True, False])
def test_inverse_of_other_memory_leaves_the_buffer(with_pyfftw, rng, monkeypatch):
    if not with_pyfftw:
        monkeypatch.setattr(fft, "pyfftw", None)
    fft.release()
    eng = fft.engine((8, 12, 16))
    volume = rng.standard_normal(eng.shape).astype(np.float32)
    eng.real[...] = volume
    other = 2 * eng.forward()
    odd = np.empty(2 * other.size + 1, np.float32)[1:].view(np.complex64).reshape(other.shape)
    odd[...] = other
    for source in (other, odd):
        np.testing.assert_allclose(eng.inverse(source=source), 2 * volume, atol=1e-5)
    eng.real[...] = volume
    eng.forward()
    np.testing.assert_allclose(eng.inverse(), volume, atol=1e-5)
    fft.release()


def test_sizes_are_on_a_short_ladder():
    sizes = {fft.fast_size(n) for n in range(1, 513)}
    assert len(sizes) < 50
    for n in range(1, 513):
        assert n <= fft.fast_size(n) <= max(1.2 * n, n + 7)
        assert fft.fast_size(fft.fast_size(n)) == fft.fast_size(n)
    assert fft.fast_shape((7, 200, 1), (4, 0, 0)) == (12, 200, 4)


def test_kept_plans_are_bounded_in_number_and_bytes(monkeypatch):
    fft.release()
    for n in range(8, 8 + 4 * 8, 4):
        fft.engine((n, 8, 8))
    assert len(fft._local.engines) == fft.MAX_PLANS
    monkeypatch.setattr(fft, "MAX_CACHED_BYTES", 1)
    last = fft.engine((8, 8, 8))
    assert list(fft._local.engines.values()) == [last]
    fft.release()


def test_plans_follow_from_the_shape_alone(rng):
    """Other shapes, another order and a busy planner leave the bits as they are."""
    shapes = [(36, 40, 48), (20, 24, 16), (35, 33, 30)]
    volumes = {shape: rng.standard_normal(shape).astype(np.float32) for shape in shapes}

    def results(order):
        fft.release()
        return {shape: fft.convolve(volumes[shape], np.float32(1)).tobytes() for shape in order}

    first = results(shapes)
    assert results(shapes[::-1]) == first
    fft.pyfftw.FFTW(
        fft.pyfftw.zeros_aligned(shapes[0], "float32"), fft.pyfftw.zeros_aligned((36, 40, 25), "complex64"),
        axes=(0, 1, 2), flags=("FFTW_MEASURE",),
    )  # fmt: skip
    assert results(shapes) == first
    fft.release()


def test_shapes_whose_columns_conflict_are_left_out():
    assert fft.fast_shape((250, 256, 100)) == (256, 280, 100)
    assert fft.fast_shape((384, 384, 64)) == (384, 400, 64)
    assert fft.fast_shape((256, 240, 100)) == (256, 240, 100)
    assert fft.fast_shape((128, 256, 100)) == (128, 256, 100)


def test_threads_have_their_own_plans(rng):
    volumes = rng.standard_normal((4, 16, 16, 16)).astype(np.float32)
    results = [None] * 4

    def work(i):
        for _ in range(20):
            results[i] = fft.rfftn(volumes[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for volume, result in zip(volumes, results, strict=True):
        np.testing.assert_allclose(result, np.fft.rfftn(volume), atol=2e-4)


@pytest.mark.loops
@settings(max_examples=20)
@given(shape=st.tuples(*[st.integers(1, 9)] * 3), seed=st.integers(0, 1000))
def test_gradient_adjoint_dot(shape, seed):
    rng = np.random.default_rng(seed)
    voxel = (0.7, 1.0, 2.5)
    u = rng.standard_normal(shape).astype(np.float32)
    v = rng.standard_normal((3, *shape)).astype(np.float32)
    left = np.vdot(gradient(u, voxel).astype(float), v)
    right = np.vdot(u.astype(float), gradient_adjoint(v, voxel))
    assert left == pytest.approx(right, rel=1e-4, abs=1e-4)
    np.testing.assert_array_equal(divergence(v, voxel), -gradient_adjoint(v, voxel))


@pytest.mark.loops
def test_gradient_is_the_plain_difference(rng):
    u = rng.standard_normal((5, 6, 7)).astype(np.float32)
    slow = np.zeros((3, *u.shape), np.float32)
    slow[0, :-1] = np.diff(u, axis=0) / 2
    slow[1, :, :-1] = np.diff(u, axis=1)
    slow[2, :, :, :-1] = np.diff(u, axis=2) * 2
    np.testing.assert_allclose(gradient(u, (2.0, 1.0, 0.5)), slow, rtol=1e-5, atol=1e-6)


def test_smv_keeps_harmonic_fields():
    grid = np.indices((24, 24, 24)) - 12.0
    harmonic = (grid[0] ** 2 - grid[1] ** 2 + 3 * grid[2]).astype(np.float32)
    mean = fft.convolve(harmonic, smv_kernel_k((24, 24, 24), (1.0, 1.0, 1.0), 4.0))
    centre = (slice(8, 16),) * 3
    np.testing.assert_allclose(mean[centre], harmonic[centre], atol=1e-3)


def test_smv_ball_in_mm():
    ball = smv_ball((0.5, 1.0, 2.0), 3.0)
    assert ball.sum() == pytest.approx(1.0, abs=1e-5)
    width = [np.sqrt((ball.sum((1, 2)) * (np.arange(ball.shape[0]) - ball.shape[0] // 2) ** 2).sum()) * 0.5]
    width.append(
        np.sqrt((ball.sum((0, 1)) * (np.arange(ball.shape[2]) - ball.shape[2] // 2) ** 2).sum()) * 2.0
    )
    # A ball's standard deviation along any axis is R / sqrt 5, plus the voxel's own.
    assert width[0] == pytest.approx(np.hypot(3 / np.sqrt(5), 0.5 / np.sqrt(12)), rel=0.03)
    assert width[1] == pytest.approx(np.hypot(3 / np.sqrt(5), 2.0 / np.sqrt(12)), rel=0.03)
    with pytest.raises(
        InvalidInputError, match=r"radius_mm = 1\.5; expected at least the largest voxel edge"
    ):
        smv_ball((0.5, 1.0, 2.0), 1.5)


def test_morphology_in_mm():
    mask = np.zeros((20, 20, 20), bool)
    mask[2:18, 2:18, 2:18] = True
    mask[0, 0, 0] = True
    eroded = erode(largest_component(mask), 2.0, (1.0, 1.0, 2.0))
    assert bounding_box(eroded) == (slice(4, 16), slice(4, 16), slice(3, 17))
    assert ball_footprint(2.0, (1.0, 2.0, 4.0)).shape == (5, 3, 1)


@pytest.mark.loops
@settings(max_examples=15)
@given(shape=st.tuples(*[st.integers(1, 12)] * 3), seed=st.integers(0, 1000), cap=st.floats(0.5, 20))
def test_capped_distance_is_the_distance_below_the_cap(shape, seed, cap):
    mask = np.random.default_rng(seed).random(shape) > 0.1
    voxel = (1.0, 1.3, 0.7)
    expected = np.minimum(distance_inside_mm(mask, voxel), np.float32(cap))
    np.testing.assert_allclose(capped_distance_inside_mm(mask, voxel, cap), expected, rtol=1e-5)


@pytest.mark.loops
@pytest.mark.parametrize("shape", [(24, 30, 20), (25, 31, 33), (5, 6, 7)])
def test_spectrum_of_the_ball_is_its_transform(shape):
    voxel, radius = (1.0, 1.2, 0.7), 3.9
    ball = smv_ball(voxel, radius)
    volume = np.zeros(shape)
    index = [np.arange(-(n // 2), n // 2 + 1) % s for n, s in zip(ball.shape, shape, strict=True)]
    np.add.at(volume, np.ix_(*index), ball)
    np.testing.assert_allclose(smv_kernel_k(shape, voxel, radius), np.fft.rfftn(volume).real, atol=1e-6)
