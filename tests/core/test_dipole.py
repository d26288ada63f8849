"""Field of sources whose field is known in closed form."""

import itertools

import numpy as np
import pytest

from qsmcmb.core.dipole import dipole_kernel_image, dipole_kernel_k, forward_field
from qsmcmb.core.fft import irfftn, rfftn
from qsmcmb.model import Grid

TILTED = (0.36, -0.48, 0.8)


def subsampled_fraction(distance2, radius, grid):
    """Covered part of each voxel by 5^3 sub-voxels; `distance2` maps coordinates in mm to squared distance."""
    offsets = (np.arange(5) - 2) / 5
    centre = np.array(grid.shape) // 2
    total = np.zeros(grid.shape)
    for dx in offsets:
        for dy in offsets:
            for dz in offsets:
                at = [
                    (i - c + d) * v
                    for i, c, d, v in zip(
                        np.indices(grid.shape, dtype=float),
                        centre,
                        (dx, dy, dz),
                        grid.voxel_size_mm,
                        strict=True,
                    )
                ]
                total += distance2(at) <= radius**2
    return total / 125


def coordinates(grid):
    centre = np.array(grid.shape) // 2
    return [(i - c) * v for i, c, v in zip(np.indices(grid.shape), centre, grid.voxel_size_mm, strict=True)]


@pytest.mark.parametrize("kernel", ["k-space", "image"])
@pytest.mark.parametrize(
    ("voxel", "shape", "b0_dir"),
    [((1.0, 1.0, 1.0), (48, 48, 48), (0.0, 0.0, 1.0)), ((0.8, 1.0, 1.5), (61, 48, 33), TILTED)],
)
def test_sphere_field_outside_is_a_dipole(kernel, voxel, shape, b0_dir):
    grid = Grid(shape, voxel, b0_dir)
    radius = 5.0
    chi = subsampled_fraction(lambda r: r[0] ** 2 + r[1] ** 2 + r[2] ** 2, radius, grid).astype(np.float32)
    field = forward_field(chi, grid, kernel=kernel)
    r = coordinates(grid)
    norm = np.sqrt(r[0] ** 2 + r[1] ** 2 + r[2] ** 2)
    cos = sum(b * x for b, x in zip(b0_dir, r, strict=True)) / np.maximum(norm, 1e-9)
    moment = chi.sum(dtype=float) * grid.voxel_volume_mm3
    truth = moment * (3 * cos**2 - 1) / (4 * np.pi * np.maximum(norm, 1) ** 3)
    shell = (norm > 8) & (norm < 20)
    moment_ratio = (field * truth)[shell].sum() / (truth[shell] ** 2).sum()
    error = np.linalg.norm((field - truth)[shell]) / np.linalg.norm(truth[shell])
    assert moment_ratio == pytest.approx(1.0, abs=0.004)
    # The k-space kernel, cut at an oblique Nyquist box, rings around hard edges; the image kernel is exact.
    assert error < (0.10 if kernel == "k-space" else 0.012)
    assert abs(field[norm < 3].mean()) < 0.002


@pytest.mark.parametrize(("across", "inside"), [(True, -1 / 6), (False, 1 / 3)])
def test_long_cylinder_inside_field(across, inside):
    """chi/6 (3 cos^2 - 1): -1/6 across B0, 1/3 along it (Lorentz sphere taken out)."""
    grid = Grid((48, 48, 48), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0) if across else (0.0, 0.0, 1.0))
    chi = subsampled_fraction(lambda r: r[0] ** 2 + r[1] ** 2 + 0 * r[2], 6.0, grid).astype(np.float32)
    field = forward_field(chi, grid, pad=False)
    r = coordinates(grid)
    core = r[0] ** 2 + r[1] ** 2 < 9
    # Unpadded, the cylinder is endless along z but repeats across: its mean field is spread over the plane.
    mean_chi = chi.mean()
    expected = inside - (mean_chi * inside)
    assert field[core].mean() == pytest.approx(expected, abs=0.01)


def test_padding_removes_the_copies():
    grid = Grid.isotropic((32, 32, 32), 1.0)
    chi = np.zeros(grid.shape, np.float32)
    chi[4, 16, 16] = 1.0
    truth = -1.0 / (4 * np.pi * 26.0**3)
    assert forward_field(chi, grid, kernel="image")[30, 16, 16] == pytest.approx(truth, rel=0.01)
    assert abs(forward_field(chi, grid, kernel="image", pad=False)[30, 16, 16]) > 5 * abs(truth)


def full_kernel(shape, voxel, nyquist_signs):
    """D on the full spectrum, with the sign of each Nyquist frequency chosen."""
    axes = [np.fft.fftfreq(n, v) for n, v in zip(shape, voxel, strict=True)]
    for axis, n, sign in zip(axes, shape, nyquist_signs, strict=True):
        if n % 2 == 0:
            axis[n // 2] *= sign
    k = np.meshgrid(*axes, indexing="ij")
    k2 = sum(kk**2 for kk in k)
    k2[0, 0, 0] = 1
    full = 1 / 3 - sum(b * kk for b, kk in zip(TILTED, k, strict=True)) ** 2 / k2
    full[0, 0, 0] = 0
    return full


@pytest.mark.loops
@pytest.mark.parametrize("shape", [(12, 10, 8), (11, 10, 9), (12, 9, 8)])
def test_half_spectrum_agrees_with_the_complex_transform(shape, rng):
    """On even grids too: white noise filtered by rfft equals the full complex transform."""
    noise = rng.standard_normal(shape).astype(np.float32)
    voxel = (1.0, 1.2, 0.9)
    full = np.mean(
        [full_kernel(shape, voxel, signs) for signs in itertools.product((1, -1), repeat=3)], axis=0
    )
    slow = np.fft.ifftn(full * np.fft.fftn(noise)).real
    if shape[2] % 2:
        fast = np.fft.irfftn(
            np.fft.rfftn(noise) * dipole_kernel_k(shape, voxel, TILTED), s=shape, axes=(0, 1, 2)
        )
    else:
        fast = irfftn(rfftn(noise) * dipole_kernel_k(shape, voxel, TILTED), shape)
    np.testing.assert_allclose(fast, slow, atol=3e-6)


def test_both_kernels_agree_away_from_the_edges():
    shape, voxel = (32, 32, 32), (1.0, 1.0, 1.0)
    difference = dipole_kernel_image(shape, voxel, TILTED).real - dipole_kernel_k(shape, voxel, TILTED)
    assert np.abs(difference[2:6, 2:6, 2:6]).max() < 0.08
