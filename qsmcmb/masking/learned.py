"""The brain by a network that others trained: deepbet, an optional package whose weights come with it."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.optimize import linear_sum_assignment

from qsmcmb.core.morphology import close_gaps, dilate, fill_holes
from qsmcmb.core.packages import require
from qsmcmb.core.validate import check_range
from qsmcmb.masking.brain import MIN_COHERENCE, bright, coherence
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("mask_deepbet",)

MIN_PROBABILITY = 0.5
"""Probability from which the network's voxels are brain, as deepbet has it by default."""


def mask_deepbet(
    magnitude: FloatArray,
    phase_rad: FloatArray,
    grid: Grid,
    *,
    quality: float = MIN_COHERENCE,
    margin_mm: float = 3.0,
    close_mm: float = 4.0,
) -> BoolArray:
    """Return the brain that the network deepbet finds, joined by tissue beside it.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude, any unit, and wrapped phase, rad.
    grid : Grid
        Shape, voxel size (mm) and orientation.
    quality : float, optional
        Smallest local coherence of the phase of what joins it, 0 to 1.
    margin_mm : float, optional
        Distance, mm, 0 to 20, within which bright and coherent voxels join the network's brain.
    close_mm : float, optional
        Radius of the closing, mm, 0 to 20: gaps narrower than twice this are closed.

    Returns
    -------
    ndarray of shape grid.shape, bool
        The brain; empty where the network finds none.

    Raises
    ------
    MissingPackageError
        PACKAGE: deepbet is not installed.
    InvalidInputError
        An option out of range.

    Notes
    -----
    The network sees the magnitude of the first echo. It was trained on T1-weighted images of adults. It cuts 0.5 to
    0.7 percent of the brain off, lesions at the cortex among it, so that tissue within `margin_mm` joins: bright and
    coherent as in `mask_combined`.

    References
    ----------
    Fisch et al. 2023. deepbet: Fast brain extraction of T1-weighted MRI using convolutional neural networks.
    doi:10.48550/arXiv.2308.07003

    Otsu 1979. A threshold selection method from gray-level histograms. doi:10.1109/TSMC.1979.4310076

    Masking by phase quality: Hagberg et al. 2022. Phase-based masking for quantitative susceptibility mapping of the
    human brain at 9.4T. doi:10.1002/mrm.29368

    Examples
    --------
    >>> echoes = np.ones((1, 16, 16, 16), np.float32)
    >>> brain = mask_deepbet(echoes, 0 * echoes, Grid.isotropic((16, 16, 16), 1.0))  # doctest: +SKIP
    """
    check_range("quality", quality, 0.0, 1.0)
    check_range("margin_mm", margin_mm, 0.0, 20.0)
    check_range("close_mm", close_mm, 0.0, 20.0)
    require("deepbet", extra="deepbet")
    learned = _predict(magnitude[0], grid)
    tissue = bright(magnitude, grid) & (coherence(phase_rad[0]) > quality)
    joined = learned | (dilate(learned, margin_mm, grid.voxel_size_mm) & tissue)
    return fill_holes(close_gaps(joined, close_mm, grid.voxel_size_mm))


def _predict(volume: FloatArray, grid: Grid) -> BoolArray:
    """Return the network's brain; none where it finds none."""
    import torch
    from deepbet import BrainExtraction
    from numba import get_num_threads

    torch.set_num_threads(get_num_threads())
    with warnings.catch_warnings():
        # torch 2.15 on how deepbet 1.0.2 stores its weights.
        warnings.simplefilter("ignore", FutureWarning)
        network = BrainExtraction(no_gpu=True)
    order, flips = _axes_to_ras(grid)
    turned = np.flip(volume.astype(np.float32).transpose(order), flips)
    try:
        found = network.postprocess(network.run_model(np.ascontiguousarray(turned)) > MIN_PROBABILITY)
    except (AssertionError, ValueError):
        # deepbet's answer to an image without a brain.
        return np.zeros(grid.shape, bool)
    return np.ascontiguousarray(np.flip(found, flips).transpose(np.argsort(order))).astype(bool)


def _axes_to_ras(grid: Grid) -> tuple[list[int], tuple[int, ...]]:
    """Return the order of axes that comes closest to right, front, top, and which of these are to be flipped."""
    directions = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    _, order = linear_sum_assignment(-np.abs(directions))
    signs = directions[range(3), order]
    return order.tolist(), tuple(np.flatnonzero(signs < 0).tolist())
