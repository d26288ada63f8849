"""How far a map or field is from the truth.

All scores take result and truth of one shape and a mask; what lies outside the mask does not count. Where a score
needs neighbours (HFEN, XSIM), both volumes are 0 outside the mask, so that padding and erosion do not change it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, BoolArray, FloatArray, IntArray

XSIM_SIGMA = 1.5
XSIM_RADIUS = 3
XSIM_LUMINANCE = 0.01**2
XSIM_CONTRAST = 0.001**2
HFEN_SIGMA = 1.5
LESION_MARGIN = 5
"""Voxels around lesions that do not count as tissue when the reference is taken."""
BALL_MM, GAP_MM, SHELL_MM = 5.0, 0.5, 3.0
"""Ball and shell of the sum around a point."""
STREAK_SHELL = (2, 8)
"""Streaks are looked for beyond the first and up to the second distance from a lesion, voxels."""


def nrmse(result: FloatArray, truth: FloatArray, mask: BoolArray) -> float:
    """Return 100 |x - t| / |t| over the mask, both without their mean.

    Parameters
    ----------
    result, truth : ndarray of shape (x, y, z)
        Same unit.
    mask : ndarray of bool
        Where they are compared.

    Returns
    -------
    float
        Percent, >= 0.

    Raises
    ------
    InvalidInputError
        Shapes differ, the mask is empty, the truth is constant.

    Notes
    -----
    Langkammer et al. 2018, doi 10.1002/mrm.26830.

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
    result, truth : ndarray of shape (x, y, z)
        Same unit.
    mask : ndarray of bool
        Where they are compared.

    Returns
    -------
    float
        Percent; infinite for a result without any slope.

    Notes
    -----
    QSM Challenge 2.0 Organization Committee 2021, doi 10.1002/mrm.28754.

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
    result, truth : ndarray of shape (x, y, z)
        Same unit.
    mask : ndarray of bool
        Where they are compared.

    Returns
    -------
    float
        Percent, >= 0.

    Notes
    -----
    Ravishankar and Bresler 2011, doi 10.1109/TMI.2010.2090538.

    Examples
    --------
    >>> truth = np.zeros((9, 9, 9))
    >>> truth[4, 4, 4] = 1
    >>> round(hfen(0.9 * truth, truth, np.ones(truth.shape, bool)), 4)
    10.0
    """
    x, t = (_inside(v, mask) for v in _checked(result, truth, mask))
    sharp_x, sharp_t = (ndimage.gaussian_laplace(v, HFEN_SIGMA, mode="constant")[mask] for v in (x, t))
    return float(100 * np.linalg.norm(sharp_x - sharp_t) / np.linalg.norm(sharp_t))


def xsim(result_ppm: FloatArray, truth_ppm: FloatArray, mask: BoolArray) -> float:
    """Return the structural similarity made for susceptibility maps, 1 for equal maps.

    Parameters
    ----------
    result_ppm, truth_ppm : ndarray of shape (x, y, z)
        Susceptibility or field, ppm: the score's constants have this unit.
    mask : ndarray of bool
        Where they are compared.

    Returns
    -------
    float
        Mean over the mask, -1 to 1.

    Notes
    -----
    Milovic et al. 2024, doi 10.1002/mrm.30271: SSIM with a range of 1 ppm, K = (0.01, 0.001) and a Gaussian window
    of 1.5 voxels and 7 voxels' width. Both maps are taken against their mean over the mask.

    Examples
    --------
    >>> truth = np.random.default_rng(1).standard_normal((8, 8, 8))
    >>> round(xsim(truth, truth, np.ones(truth.shape, bool)), 6)
    1.0
    """
    x, t = (_inside(v, mask) for v in _checked(result_ppm, truth_ppm, mask))
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
    result, truth : ndarray of shape (x, y, z)
        Same unit; each is taken against its mean over the mask without the regions.
    mask : ndarray of bool
        Where they are compared.
    labels : ndarray of int
        A number from 1 for each region, 0 elsewhere.

    Returns
    -------
    float
        Percent; NaN where no region lies in the mask.

    Examples
    --------
    >>> labels = np.zeros((4, 4, 4), int)
    >>> labels[1, 1, 1], labels[2, 2, 2] = 1, 2
    >>> truth = np.where(labels == 1, 3.0, np.where(labels == 2, 4.0, 0.0))
    >>> round(region_error(0.8 * truth + 1, truth, np.ones(truth.shape, bool), labels), 6)
    20.0
    """
    result, truth = _checked(result, truth, mask)
    numbers = np.unique(labels[mask & (labels > 0)])
    rest = mask & (labels == 0)
    if not len(numbers) or not rest.any():
        return float("nan")
    means = [
        [v[mask & (labels == n)].mean() - v[rest].mean() for n in numbers] for v in (result, truth)
    ]  # fmt: skip
    x, t = np.array(means)
    return float(100 * np.linalg.norm(x - t) / np.linalg.norm(t))


def moment_ratios(
    result_ppm: FloatArray, truth_ppm: FloatArray, mask: BoolArray, labels: IntArray
) -> FloatArray:
    """Return for each lesion what the map recovers of its total susceptibility.

    Parameters
    ----------
    result_ppm, truth_ppm : ndarray of shape (x, y, z)
        Susceptibility; the result is taken against its median over the mask 5 voxels and more from any lesion.
    mask : ndarray of bool
        Where the map is defined.
    labels : ndarray of int
        Lesions, numbered from 1.

    Returns
    -------
    ndarray of shape (lesions,)
        Sum of the result over the true sum; NaN for a lesion that is not wholly inside the mask.

    Examples
    --------
    >>> labels = np.zeros((20, 20, 20), int)
    >>> labels[4, 4, 4], labels[14, 14, 14] = 1, 2
    >>> truth = 2.0 * (labels > 0)
    >>> moment_ratios(0.9 * truth - 3, truth, np.ones(truth.shape, bool), labels).round(3)
    array([0.9, 0.9])
    """
    result_ppm, truth_ppm = _checked(result_ppm, truth_ppm, mask)
    lesions = labels > 0
    far = mask & ~ndimage.binary_dilation(lesions, iterations=LESION_MARGIN)
    reference = np.median(result_ppm[far])
    ratios = []
    for number in range(1, int(labels.max()) + 1):
        lesion = labels == number
        inside = lesion.any() and bool(mask[lesion].all())
        ratios.append((result_ppm[lesion] - reference).sum() / truth_ppm[lesion].sum() if inside else np.nan)
    return np.array(ratios)


def point_moments(chi_ppm: FloatArray, mask: BoolArray, grid: Grid, points_mm: FloatArray) -> FloatArray:
    """Return the sum of a map around points, one rule for all methods.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility, ppm.
    mask : ndarray of bool
        Where the map is defined.
    grid : Grid
        Geometry.
    points_mm : ndarray of shape (n, 3)
        Positions, scanner RAS+ mm.

    Returns
    -------
    ndarray of shape (n,)
        Sum over a ball of 5 mm above the median of a shell of 3 mm that begins 0.5 mm further out, ppm mm3; NaN where
        ball or shell have no voxel in the mask.

    Examples
    --------
    >>> grid = Grid.isotropic((30, 30, 30), 1.0)
    >>> chi = np.full(grid.shape, 0.5)
    >>> chi[15, 15, 15] += 4
    >>> point_moments(chi, np.ones(grid.shape, bool), grid, np.zeros((1, 3)))
    array([4.])
    """
    reach = BALL_MM + GAP_MM + SHELL_MM
    sums = []
    for centre in grid.to_voxel(np.asarray(points_mm, float)):
        spans = [
            np.arange(max(0, int(c - reach / v)), min(n, int(c + reach / v) + 2))
            for c, v, n in zip(centre, grid.voxel_size_mm, grid.shape, strict=True)
        ]
        box = np.ix_(*spans)
        away = [(i - c) * v for i, c, v in zip(spans, centre, grid.voxel_size_mm, strict=True)]
        distance = np.sqrt(sum(a**2 for a in np.meshgrid(*away, indexing="ij")))
        values, inside = chi_ppm[box].astype(np.float64), mask[box]
        ball = inside & (distance <= BALL_MM)
        shell = inside & (distance > BALL_MM + GAP_MM) & (distance <= reach)
        known = ball.any() and shell.any()
        above = (values[ball] - np.median(values[shell])).sum() if known else np.nan
        sums.append(above * grid.voxel_volume_mm3)
    return np.array(sums)


def streaks(result_ppm: FloatArray, truth_ppm: FloatArray, mask: BoolArray, labels: IntArray) -> float:
    """Return the SD of the error in a shell around lesions over the lesion's true mean contrast, their median.

    Parameters
    ----------
    result_ppm, truth_ppm : ndarray of shape (x, y, z)
        Susceptibility.
    mask : ndarray of bool
        Where the map is defined.
    labels : ndarray of int
        Lesions, numbered from 1. The shell begins 2 voxels outside the lesion, so that a blurred edge is no streak,
        and ends at 8; other lesions' surroundings are left out.

    Returns
    -------
    float
        Percent; NaN without any lesion inside the mask.

    Examples
    --------
    >>> labels = np.zeros((24, 24, 24), int)
    >>> labels[12, 12, 12] = 1
    >>> truth = 2.0 * labels
    >>> streaks(truth + 7, truth, np.ones(truth.shape, bool), labels)
    0.0
    """
    result_ppm, truth_ppm = _checked(result_ppm, truth_ppm, mask)
    near, far = STREAK_SHELL
    found = []
    for number, where in enumerate(ndimage.find_objects(labels), start=1):
        if where is None:
            continue
        box = tuple(
            slice(max(0, s.start - far), min(n, s.stop + far))
            for s, n in zip(where, labels.shape, strict=True)
        )
        lesion, others = labels[box] == number, (labels[box] > 0) & (labels[box] != number)
        distance = ndimage.distance_transform_edt(~lesion)
        shell = mask[box] & (distance > near) & (distance <= far)
        if others.any():
            shell &= ndimage.distance_transform_edt(~others) > near
        if not shell.any() or not mask[box][lesion].all():
            continue
        error = (result_ppm[box] - truth_ppm[box])[shell]
        found.append(100 * error.std() / abs(truth_ppm[box][lesion].mean()))
    return float(np.median(found)) if found else float("nan")


def wrong_wraps(unwrapped_rad: FloatArray, true_rad: FloatArray, mask: BoolArray) -> float:
    """Return the percentage of voxels more than pi off, after the best whole number of turns for all.

    Parameters
    ----------
    unwrapped_rad, true_rad : ndarray of shape (x, y, z)
        Phase, rad.
    mask : ndarray of bool
        Where they are compared.

    Returns
    -------
    float
        Percent, 0 to 100.

    Examples
    --------
    >>> phase = np.zeros((1, 1, 4))
    >>> off = np.array([[[0.0, 0.0, 0.0, 2 * np.pi]]])
    >>> wrong_wraps(phase + off + 4 * np.pi, phase, np.ones(phase.shape, bool))
    25.0
    """
    unwrapped_rad, true_rad = _checked(unwrapped_rad, true_rad, mask)
    off = (unwrapped_rad - true_rad)[mask]
    off -= 2 * np.pi * np.round(np.median(off) / (2 * np.pi))
    return float(100 * np.mean(np.abs(off) > np.pi))


def _checked(result: AnyArray, truth: AnyArray, mask: AnyArray) -> tuple[FloatArray, FloatArray]:
    for name, array in (("truth", truth), ("mask", mask)):
        if array.shape != result.shape:
            raise _bad(f"{name}.shape", array.shape, f"result.shape={result.shape}", "compare on one grid")
    if not mask.any():
        raise _bad("mask.sum()", 0, "at least one voxel", "compare where the result is defined")
    return np.asarray(result, np.float64), np.asarray(truth, np.float64)


def _bad(name: str, found: object, expected: str, fix: str) -> InvalidInputError:
    return InvalidInputError("ARGUMENT", "argument", field=name, found=found, expected=expected, fix=fix)


def _centred(result: AnyArray, truth: AnyArray, mask: AnyArray) -> tuple[FloatArray, FloatArray]:
    x, t = (v[mask] - v[mask].mean() for v in _checked(result, truth, mask))
    if not t.any():
        raise _bad("truth", "a constant", "a truth that varies inside the mask", "compare elsewhere")
    return x, t


def _inside(volume: FloatArray, mask: BoolArray) -> FloatArray:
    return np.where(mask, volume - volume[mask].mean(), 0.0)


def _window(volume: FloatArray) -> FloatArray:
    return np.asarray(
        ndimage.gaussian_filter(volume, XSIM_SIGMA, mode="constant", truncate=XSIM_RADIUS / XSIM_SIGMA)
    )
