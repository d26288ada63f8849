"""Scores: how far a map or field is from the truth.

All scores take result and truth of one shape and a mask; what lies outside the mask does not count. Where a score
needs neighbours (HFEN, XSIM), both volumes are 0 outside the mask, so that padding and erosion do not change it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ("hfen", "nrmse", "nrmse_detrended", "region_error", "wrong_wraps", "xsim")

XSIM_SIGMA = 1.5
"""SD of XSIM's Gaussian window, voxels, as published."""
XSIM_RADIUS = 3
"""Half-width of that window, voxels, as published."""
XSIM_LUMINANCE = 0.01**2
"""Constant of XSIM's luminance term, ppm2: (0.01 times a range of 1 ppm) squared, as published."""
XSIM_CONTRAST = 0.001**2
"""Constant of XSIM's structure term, ppm2: (0.001 times a range of 1 ppm) squared, as published."""
HFEN_SIGMA = 1.5
"""SD of HFEN's Laplacian of Gaussian, voxels, as published."""


def nrmse(result: FloatArray, truth: FloatArray, mask: BoolArray) -> float:
    """Return 100 |x - t| / |t| over the mask, both without their mean.

    Parameters
    ----------
    result : ndarray of shape (x, y, z)
        Result, any unit.
    truth : ndarray of shape (x, y, z)
        Truth, same unit.
    mask : ndarray of shape (x, y, z), bool
        Where they are compared.

    Returns
    -------
    float
        Normalised root mean square error, %, >= 0.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, the mask is empty, the truth is constant.

    References
    ----------
    Langkammer C, Schweser F, Shmueli K, et al. Quantitative susceptibility mapping: report from the 2016 reconstruction
    challenge. Magn Reson Med 2018;79:1661-1673. doi:10.1002/mrm.26830

    Examples
    --------
    >>> truth = np.array([[[0.0, 2.0, 4.0]]])
    >>> round(nrmse(1.1 * truth + 5, truth, np.ones(truth.shape, bool)), 6)
    10.0
    """
    x, t = _centred(result, truth, mask)
    return float(100 * np.linalg.norm(x - t) / np.linalg.norm(t))


def nrmse_detrended(result: FloatArray, truth: FloatArray, mask: BoolArray) -> float:
    """Return the NRMSE after the result is divided by its slope against the truth.

    Parameters
    ----------
    result : ndarray of shape (x, y, z)
        Result, any unit.
    truth : ndarray of shape (x, y, z)
        Truth, same unit.
    mask : ndarray of shape (x, y, z), bool
        Where they are compared.

    Returns
    -------
    float
        Error, %, >= 0; infinite for a result without any slope.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, the mask is empty, the truth is constant.

    References
    ----------
    QSM Challenge 2.0 Organization Committee. QSM reconstruction challenge 2.0: design and report of results. Magn Reson
    Med 2021;86:1241-1255. doi:10.1002/mrm.28754

    Examples
    --------
    >>> truth = np.array([[[0.0, 2.0, 4.0]]])
    >>> round(nrmse_detrended(0.5 * truth + 5, truth, np.ones(truth.shape, bool)), 6)
    0.0
    """
    x, t = _centred(result, truth, mask)
    slope = float(x @ t / (t @ t))
    if slope == 0.0:
        return float("inf")
    return float(100 * np.linalg.norm(x / slope - t) / np.linalg.norm(t))


def hfen(result: FloatArray, truth: FloatArray, mask: BoolArray) -> float:
    """Return the NRMSE of what a Laplacian of Gaussian (1.5 voxels) leaves: the error of edges and detail.

    Parameters
    ----------
    result : ndarray of shape (x, y, z)
        Result, any unit.
    truth : ndarray of shape (x, y, z)
        Truth, same unit.
    mask : ndarray of shape (x, y, z), bool
        Where they are compared.

    Returns
    -------
    float
        High-frequency error norm, %, >= 0.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, or the mask is empty.

    References
    ----------
    Ravishankar S, Bresler Y. MR image reconstruction from highly undersampled k-space data by dictionary learning. IEEE
    Trans Med Imaging 2011;30:1028-1041. doi:10.1109/TMI.2010.2090538

    Examples
    --------
    >>> truth = np.zeros((9, 9, 9))
    >>> truth[4, 4, 4] = 1
    >>> round(hfen(0.9 * truth, truth, np.ones(truth.shape, bool)), 4)
    10.0
    """
    x, t = (_inside(v, mask) for v in checked_pair(result, truth, mask))
    sharp_x, sharp_t = (ndimage.gaussian_laplace(v, HFEN_SIGMA, mode="constant")[mask] for v in (x, t))
    return float(100 * np.linalg.norm(sharp_x - sharp_t) / np.linalg.norm(sharp_t))


def xsim(result_ppm: FloatArray, truth_ppm: FloatArray, mask: BoolArray) -> float:
    """Return the structural similarity made for susceptibility maps, 1 for equal maps.

    Parameters
    ----------
    result_ppm : ndarray of shape (x, y, z)
        Susceptibility or field, ppm: the score's constants have this unit.
    truth_ppm : ndarray of shape (x, y, z)
        Truth, ppm.
    mask : ndarray of shape (x, y, z), bool
        Where they are compared.

    Returns
    -------
    float
        Mean over the mask, -1 to 1.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, or the mask is empty.

    Notes
    -----
    SSIM with a range of 1 ppm, K = (0.01, 0.001) and a Gaussian window of 1.5 voxels and 7 voxels' width. Both maps are
    taken against their mean over the mask.

    References
    ----------
    Milovic C, et al. XSIM: a structural similarity index measure optimized for MRI
    QSM. Magn Reson Med 2024. doi:10.1002/mrm.30271

    Examples
    --------
    >>> truth = np.random.default_rng(1).standard_normal((8, 8, 8))
    >>> round(xsim(truth, truth, np.ones(truth.shape, bool)), 6)
    1.0
    """
    x, t = (_inside(v, mask) for v in checked_pair(result_ppm, truth_ppm, mask))
    mean_x, mean_t = _window(x), _window(t)
    var_x, var_t = _window(x * x) - mean_x**2, _window(t * t) - mean_t**2
    covariance = _window(x * t) - mean_x * mean_t
    luminance = (2 * mean_x * mean_t + XSIM_LUMINANCE) / (mean_x**2 + mean_t**2 + XSIM_LUMINANCE)
    structure = (2 * covariance + XSIM_CONTRAST) / (var_x + var_t + XSIM_CONTRAST)
    return float((luminance * structure)[mask].mean())


def region_error(result: FloatArray, truth: FloatArray, mask: BoolArray, labels: IntArray) -> float:
    """Return the rms error of the regions' means over the rms of their true means, e.g. in the deep grey nuclei.

    Parameters
    ----------
    result : ndarray of shape (x, y, z)
        Result, any unit, taken against its mean over the mask without the regions.
    truth : ndarray of shape (x, y, z)
        Truth, same unit, taken against its mean in the same way.
    mask : ndarray of shape (x, y, z), bool
        Where they are compared.
    labels : ndarray of shape (x, y, z), int
        A number from 1 for each region, 0 elsewhere.

    Returns
    -------
    float
        Error, %, >= 0; NaN where no region lies in the mask.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, or the mask is empty.

    Examples
    --------
    >>> labels = np.zeros((4, 4, 4), int)
    >>> labels[1, 1, 1], labels[2, 2, 2] = 1, 2
    >>> truth = np.where(labels == 1, 3.0, np.where(labels == 2, 4.0, 0.0))
    >>> round(region_error(0.8 * truth + 1, truth, np.ones(truth.shape, bool), labels), 6)
    20.0
    """
    result, truth = checked_pair(result, truth, mask)
    numbers = np.unique(labels[mask & (labels > 0)])
    rest = mask & (labels == 0)
    if not len(numbers) or not rest.any():
        return float("nan")
    means = [
        [v[mask & (labels == n)].mean() - v[rest].mean() for n in numbers] for v in (result, truth)
    ]  # fmt: skip
    x, t = np.array(means)
    return float(100 * np.linalg.norm(x - t) / np.linalg.norm(t))


def wrong_wraps(unwrapped_rad: FloatArray, true_rad: FloatArray, mask: BoolArray) -> float:
    """Return the percentage of voxels more than pi off, after the best whole number of turns for all.

    Parameters
    ----------
    unwrapped_rad : ndarray of shape (x, y, z)
        Unwrapped phase, rad.
    true_rad : ndarray of shape (x, y, z)
        True phase, rad.
    mask : ndarray of shape (x, y, z), bool
        Where they are compared.

    Returns
    -------
    float
        Wrong voxels, %, 0 to 100.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, or the mask is empty.

    Examples
    --------
    >>> phase = np.zeros((1, 1, 4))
    >>> off = np.array([[[0.0, 0.0, 0.0, 2 * np.pi]]])
    >>> wrong_wraps(phase + off + 4 * np.pi, phase, np.ones(phase.shape, bool))
    25.0
    """
    unwrapped_rad, true_rad = checked_pair(unwrapped_rad, true_rad, mask)
    off = (unwrapped_rad - true_rad)[mask]
    off -= 2 * np.pi * np.round(np.median(off) / (2 * np.pi))
    return float(100 * np.mean(np.abs(off) > np.pi))


def checked_pair(result: AnyArray, truth: AnyArray, mask: AnyArray) -> tuple[FloatArray, FloatArray]:
    """Return result and truth in float64; raise unless both are on the mask's grid and the mask is not empty."""
    for name, array in (("truth", truth), ("mask", mask)):
        if array.shape != result.shape:
            raise _bad(f"{name}.shape", array.shape, f"result.shape={result.shape}", "compare on one grid")
    if not mask.any():
        raise _bad("mask.sum()", 0, "at least one voxel", "compare where the result is defined")
    return np.asarray(result, np.float64), np.asarray(truth, np.float64)


def _bad(name: str, found: object, expected: str, fix: str) -> InvalidInputError:
    """Return the error for an argument."""
    return InvalidInputError("ARGUMENT", "argument", field=name, found=found, expected=expected, fix=fix)


def _centred(result: AnyArray, truth: AnyArray, mask: AnyArray) -> tuple[FloatArray, FloatArray]:
    """Return result and truth inside the mask, both without their mean."""
    x, t = (v[mask] - v[mask].mean() for v in checked_pair(result, truth, mask))
    if not t.any():
        raise _bad("truth", "a constant", "a truth that varies inside the mask", "compare elsewhere")
    return x, t


def _inside(volume: FloatArray, mask: BoolArray) -> FloatArray:
    """Return a volume without its mean over the mask, 0 outside."""
    return np.where(mask, volume - volume[mask].mean(), 0.0)


def _window(volume: FloatArray) -> FloatArray:
    """Return the local mean by XSIM's window."""
    return np.asarray(
        ndimage.gaussian_filter(volume, XSIM_SIGMA, mode="constant", truncate=XSIM_RADIUS / XSIM_SIGMA)
    )
