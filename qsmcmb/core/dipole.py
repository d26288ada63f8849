"""The unit dipole: its kernel in k-space and in image space, and the field of a susceptibility map.

D(k) = 1/3 - (k . b)^2 / k^2
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from qsmcmb.core import _dipole_loops as loops
from qsmcmb.core.fft import Shape, convolve, fast_shape, half_shape, rfftn
from qsmcmb.core.validate import check_choice
from qsmcmb.model import Grid
from qsmcmb.typing import ComplexArray, FloatArray, Triple

__all__ = (
    "dipole_kernel_image",
    "dipole_kernel_k",
    "forward_field",
    "frequencies",
    "spectral_tables",
)

EXACT_REACH_VOXELS = 4
"""Voxels on each side of the source whose field is that of a box. Beyond, a point's field differs from a cubic voxel's
by less than 0.1 %, from that of a voxel three times as long as wide by up to 8 %.
"""


def frequencies(shape: Shape, voxel_size_mm: Triple) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the spatial frequencies of the half spectrum.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    tuple of ndarray, float32
        Frequencies along x, y and z, cycles/mm, shaped (x, 1, 1), (1, y, 1) and (1, 1, z // 2 + 1) to broadcast.

    Examples
    --------
    >>> frequencies((4, 4, 4), (1.0, 1.0, 2.0))[2].ravel().tolist()
    [0.0, 0.125, 0.25]
    """
    kx = np.fft.fftfreq(shape[0], voxel_size_mm[0])[:, None, None]
    ky = np.fft.fftfreq(shape[1], voxel_size_mm[1])[None, :, None]
    kz = np.fft.rfftfreq(shape[2], voxel_size_mm[2])[None, None, :]
    return kx.astype(np.float32), ky.astype(np.float32), kz.astype(np.float32)


def dipole_kernel_k(shape: Shape, voxel_size_mm: Triple, b0_dir: Triple) -> FloatArray:
    """Return the dipole kernel in k-space, D(k) = 1/3 - (k.b)^2/k^2, on the half spectrum.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    b0_dir : tuple of float
        Unit vector of B0 in voxel axes.

    Returns
    -------
    ndarray of shape (x, y, z // 2 + 1), float32
        Dimensionless, -2/3 to 1/3; 0 at k = 0, where the kernel has no value.

    Notes
    -----
    On the Nyquist planes of even axes +k and -k are one sample: an oblique kernel is averaged over both
    signs there, else the real and the complex transform would disagree.

    References
    ----------
    Salomir R, de Senneville BD, Moonen CTW. A fast calculation method for magnetic field inhomogeneity due to an
    arbitrary distribution of bulk susceptibility. Concepts Magn Reson B 2003;19B:26-34. doi:10.1002/cmr.b.10083

    Marques JP, Bowtell R. Application of a Fourier-based method for rapid calculation of field inhomogeneity due to
    spatial variation of magnetic susceptibility. Concepts Magn Reson B 2005;25B:65-78. doi:10.1002/cmr.b.20034

    Examples
    --------
    >>> d = dipole_kernel_k((8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0))
    >>> round(float(d[0, 0, 1]), 4), round(float(d[1, 0, 0]), 4)
    (-0.6667, 0.3333)
    """
    kernel = np.empty(half_shape(shape), np.float32)
    loops.fill_kernel(*spectral_tables(shape, voxel_size_mm, b0_dir), kernel)
    kernel[0, 0, 0] = 0.0
    return kernel


def spectral_tables(
    shape: Shape, voxel_size_mm: Triple, b0_dir: Triple
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return tables from which a loop over the half spectrum makes D(k) and the difference operators on its way.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    b0_dir : tuple of float
        Unit vector of B0 in voxel axes.

    Returns
    -------
    tuple of ndarray of shape (4, n), float32
        For each axis, by index: k^2 (1/mm2); k times b, without the Nyquist frequency (1/mm); the square that this
        leaves out (1/mm2); and the squared symbol of the periodic forward difference (1/mm2). With sums over the axes,
        D = 1/3 - (row1^2 + row2) / row0.

    Notes
    -----
    A product of two components changes sign with either, so at the Nyquist frequency of either axis its mean
    over both signs is 0, and the square of the one component alone stays.

    Examples
    --------
    >>> spectral_tables((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0))[2][3].tolist()
    [0.0, 2.0, 4.0]
    """
    tables = []
    for k, n, v, b in zip(frequencies(shape, voxel_size_mm), shape, voxel_size_mm, b0_dir, strict=True):
        flat = k.ravel().astype(np.float64)
        nyquist = np.arange(flat.size) * 2 == n
        along = np.where(nyquist, 0.0, flat * b)
        difference = (2 - 2 * np.cos(2 * np.pi * flat * v)) / v**2
        tables.append(np.stack([flat**2, along, (flat * b) ** 2 - along**2, difference]).astype(np.float32))
    return tables[0], tables[1], tables[2]


def dipole_kernel_image(shape: Shape, voxel_size_mm: Triple, b0_dir: Triple) -> ComplexArray:
    """Return the half spectrum of the image-space dipole (3cos^2-1)/(4 pi r^3) times the voxel's volume.

    Unlike `dipole_kernel_k`, a field computed with it does not see the periodic copies of the source, as
    long as the volume is padded to twice the object.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    b0_dir : tuple of float
        Unit vector of B0 in voxel axes.

    Returns
    -------
    ndarray of shape (x, y, z // 2 + 1), complex64
        Dimensionless spectrum of the kernel with its origin at voxel 0. Near the source the kernel is the exact field
        of a uniformly magnetised voxel.

    References
    ----------
    Joseph RI, Schlomann E. Demagnetizing field in nonellipsoidal bodies. J Appl Phys 1965;36:1579-1593.
    doi:10.1063/1.1703091

    Examples
    --------
    >>> kernel = dipole_kernel_image((8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0))
    >>> bool(abs(np.fft.irfftn(kernel, (8, 8, 8), axes=(0, 1, 2))[0, 0, 0]) < 1e-6)
    True
    """
    r = [
        (np.fft.fftfreq(n, 1.0 / n) * v).astype(np.float32).reshape([-1 if a == i else 1 for a in range(3)])
        for i, (n, v) in enumerate(zip(shape, voxel_size_mm, strict=True))
    ]
    r2: Any = r[0] ** 2 + r[1] ** 2 + r[2] ** 2
    r2[0, 0, 0] = 1.0
    along = b0_dir[0] * r[0] + b0_dir[1] * r[1] + b0_dir[2] * r[2]
    kernel = (3.0 * along**2 / r2 - 1.0) / (4.0 * np.pi * r2**1.5) * np.prod(voxel_size_mm)
    near = [
        np.r_[0 : min(EXACT_REACH_VOXELS, (n - 1) // 2) + 1, -min(EXACT_REACH_VOXELS, (n - 1) // 2) : 0]
        for n in shape
    ]
    kernel[np.ix_(*near)] = _voxel_field(
        [i * v for i, v in zip(near, voxel_size_mm, strict=True)], voxel_size_mm, b0_dir
    )
    return rfftn(kernel.astype(np.float32))


def _voxel_field(points_mm: list[FloatArray], voxel_size_mm: Triple, b0_dir: Triple) -> FloatArray:
    """Return the exact field of a uniformly magnetised box of 1 ppm: a third of the trace minus b N b.

    N is the demagnetisation tensor, whose elements are arctangents and logarithms at the eight corners
    (Joseph and Schlomann 1965, doi 10.1063/1.1703091).
    """
    x, y, z = np.meshgrid(*points_mm, indexing="ij")
    tensor = np.zeros((3, 3, *x.shape))
    for sx, sy, sz in itertools.product((-1, 1), repeat=3):
        corner = [s * v / 2 - p for s, v, p in zip((sx, sy, sz), voxel_size_mm, (x, y, z), strict=True)]
        distance = np.sqrt(corner[0] ** 2 + corner[1] ** 2 + corner[2] ** 2)
        sign = sx * sy * sz / (4 * np.pi)
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            tensor[i, i] += sign * np.arctan(corner[j] * corner[k] / (corner[i] * distance))
            cross = -sign * np.log(corner[i] + distance)
            tensor[j, k] += cross
            tensor[k, j] += cross
    along = np.einsum("i,ij...,j->...", b0_dir, tensor, b0_dir)
    return np.asarray(np.trace(tensor) / 3 - along)


def forward_field(
    chi_ppm: FloatArray, grid: Grid, *, pad: bool = True, kernel: str = "k-space"
) -> FloatArray:
    """Return the field that a susceptibility map makes.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility, ppm.
    grid : Grid
        Geometry and B0 direction.
    pad : bool, optional
        Pad to twice the size so that the periodic copies do not matter.
    kernel : {"k-space", "image"}, optional
        Discretisation of the dipole: `dipole_kernel_k` or `dipole_kernel_image`.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Field relative to B0, ppm; mean of the padded volume 0 with the k-space kernel.

    Raises
    ------
    InvalidInputError
        ARGUMENT: a kernel of another name.

    References
    ----------
    Marques JP, Bowtell R. Application of a Fourier-based method for rapid calculation of field inhomogeneity due to
    spatial variation of magnetic susceptibility. Concepts Magn Reson B 2005;25B:65-78. doi:10.1002/cmr.b.20034

    Examples
    --------
    >>> chi_ppm = np.zeros((8, 8, 8), np.float32)
    >>> chi_ppm[4, 4, 4] = 1.0
    >>> field_ppm = forward_field(chi_ppm, Grid.isotropic((8, 8, 8), 1.0))
    >>> bool(field_ppm[4, 4, 6] > 0 > field_ppm[6, 4, 4])
    True
    """
    kernels: dict[str, Any] = {"k-space": dipole_kernel_k, "image": dipole_kernel_image}
    check_choice("kernel", kernel, kernels)
    shape = fast_shape(grid.shape, grid.shape if pad else 0)
    padded = np.zeros(shape, np.float32)
    nx, ny, nz = grid.shape
    padded[:nx, :ny, :nz] = chi_ppm
    return np.ascontiguousarray(
        convolve(padded, kernels[kernel](shape, grid.voxel_size_mm, grid.b0_dir))[:nx, :ny, :nz]
    )
