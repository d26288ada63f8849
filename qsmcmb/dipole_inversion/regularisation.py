"""The weight of a variational method from the data: the meaning of `regularisation=None`.

Closed-form Tikhonov, min |D chi - f|^2 + lambda |R chi|^2, is diagonal in k-space, so four criteria are compared there
at the cost of one transform: generalised cross-validation, the discrepancy principle, the L-curve (Bilgic et al. 2014,
doi 10.1002/mrm.25029) and frequency balance (after Milovic et al. 2021, doi 10.1002/mrm.28435).
docs/explanation/regularisation.md shows why the first is the default.

A method with a total-variation or similar term writes, once and before its loop,

    if regularisation is None:
        regularisation = gradient_weight(local_field_ppm, mask, grid, field_sd_ppm=field_sd_ppm)

and minimises |W (D chi - f)|^2 / 2 + regularisation |grad chi|_1 with W of median 1 (`data_weights`), chi and f in
ppm, the gradient per mm. The weight is in ppm mm: for a field that is divided by its own scale, divide the weight
by the same scale; for a nonlinear data term in rad, multiply it by `radians_per_ppm`, with the map in rad.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import engine
from qsmcmb.core.morphology import erode
from qsmcmb.core.noise import MAD_OF_NORMAL
from qsmcmb.core.robust import deviation_inside
from qsmcmb.core.validate import check_choice
from qsmcmb.dipole_inversion import _closed_form_loops as closed_form
from qsmcmb.dipole_inversion import _regularisation_loops as loops
from qsmcmb.dipole_inversion.closed_form import transform_field
from qsmcmb.dipole_inversion.noise import noise_level
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "error_level",
    "gradient_weight",
    "tikhonov_weight",
    "tissue_gradient",
)

CRITERIA = ("cross-validation", "discrepancy", "l-curve", "frequency")
"""Names of the criteria by which the weight is chosen, the default first."""
WEIGHTS = np.logspace(-7.0, 1.0, 129)
"""Weights of Tikhonov that are tried, mm^(2 order): eight decades in steps of 15 %, finer than the criteria are
sharp.
"""
BALANCE_BAND = (0.01, 1 / 3)
"""Squared difference symbol over its largest value where frequency balance looks, a ratio: neither the few lowest
frequencies, where the map is strongest, nor the corners.
"""
ROW_STEP = 4
"""Rows of a large spectrum of which one is read, a count: one in four is enough, but for the low frequencies, where
the energy is.
"""
MIN_SAMPLES_TO_SKIP_ROWS = 2**20
"""Samples of a spectrum from which on rows are skipped, a count: below it a pass is short, and every row tells."""
GRADIENT_FACTOR = 0.15
"""Weight of total variation over error level and voxel edge, a ratio: the best on piecewise constant phantoms over a
noise range of 1 to 16; see docs/explanation/regularisation.md.
"""
WELL_CONDITIONED = 0.2
"""Absolute value of the dipole kernel above which a frequency tells the tissue's gradient, a ratio: 63 % of k-space."""
EDGE_VOXELS = 3.0
"""Depth below the mask's surface from which gradients count, voxels: at the surface the field ends."""
MAX_LEVEL_SDS = 4.0
"""Largest error level over the median SD of the field, a ratio: 1.3 to 4.9 on real and simulated heads. Of slices of
4 mm, where it would be 9.5, the map is empty from 6 on and shows veins and nuclei up to 4.
"""
MIN_GRADIENT = 0.1
"""Smallest gradient of tissue over that of field and noise together, a ratio: what noise alone makes is uncertain."""


class Spectrum(NamedTuple):
    """Hold the energy of a field, and what the criteria need besides, by bin of D^2 / S^order.

    Parameters
    ----------
    ratio : ndarray of shape (bin,)
        D^2 / S^order at the middle of each bin, mm^(2 order).
    energy : ndarray of shape (bin,)
        Squared spectrum of the field, summed over the bin, over the number of voxels.
    samples : ndarray of shape (bin,)
        Samples of the whole spectrum in the bin.
    near_cone, well_conditioned : ndarray of shape (bin,)
        Sums of |F / D| over the samples near the cone, and over those where D is large.
    bands : tuple of float
        Number of samples near the cone, and of those where D is large.
    """

    ratio: FloatArray
    energy: FloatArray
    samples: FloatArray
    near_cone: FloatArray
    well_conditioned: FloatArray
    bands: tuple[float, float]

    def explained(self) -> FloatArray:
        """Return the fraction of each bin's field that the map of each of `WEIGHTS` explains, by weight."""
        return np.asarray(self.ratio / (self.ratio + WEIGHTS[:, None]))


def tikhonov_weight(
    field: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    order: int = 1,
    criterion: str = "cross-validation",
    field_sd: FloatArray | None = None,
) -> float:
    """Return the weight of closed-form Tikhonov for a field.

    Parameters
    ----------
    field : ndarray of shape grid.shape, float32
        Local field, any unit; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    order : {0, 1, 2}, optional
        Regulariser: identity, gradient or Laplacian.
    criterion : {"cross-validation", "discrepancy", "l-curve", "frequency"}, optional
        Criterion by which the weight is chosen.
    field_sd : ndarray of shape grid.shape, optional
        SD of the field, its unit, for the discrepancy principle.

    Returns
    -------
    float
        Weight lambda, mm^(2 order); 1e-7 to 10.

    Raises
    ------
    InvalidInputError
        Unknown criterion.

    Notes
    -----
    With r(lambda) the residual of the map and n(lambda) the samples that it leaves free, generalised cross-validation
    minimises |r|^2 / n^2; the discrepancy principle takes |r|^2 = sum SD^2; the L-curve its point of largest curvature
    in (log |r|^2, log |R chi|^2); frequency balance the weight at which the map's mean amplitude near the cone of
    k-space is that of the well-conditioned frequencies. The field's spectrum stays in the engine's buffer.

    References
    ----------
    The L-curve: Bilgic et al. 2014. Fast quantitative susceptibility mapping with L1-regularization and automatic
    parameter selection. doi:10.1002/mrm.25029

    Frequency balance, after: Milovic et al. 2021. Comparison of parameter optimization methods for quantitative
    susceptibility mapping. doi:10.1002/mrm.28435

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    >>> tikhonov_weight(field, np.ones(grid.shape, bool), grid) > 0.1
    True
    """
    check_choice("criterion", criterion, CRITERIA)
    transform_field(field, grid)
    # Amplitudes cost a root a sample; an empty band spares them.
    spectrum = _spectrum(grid, order, BALANCE_BAND if criterion == "frequency" else (0.0, 0.0))
    if criterion == "discrepancy":
        expected = noise_level(field, mask, field_sd) ** 2 * int(mask.sum())
        return _discrepancy(spectrum, expected)
    chooser = {"cross-validation": _cross_validation, "l-curve": _l_curve, "frequency": _frequency_balance}
    return chooser[criterion](spectrum)


def error_level(
    field: FloatArray, mask: BoolArray, grid: Grid, *, field_sd: FloatArray | None = None
) -> float:
    """Return the SD of the part of a field that no susceptibility map explains.

    It holds the noise, and what background removal left.

    Parameters
    ----------
    field : ndarray of shape grid.shape, float32
        Local field, any unit; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd : ndarray of shape grid.shape, optional
        SD of the field, its unit: the level is between its median and MAX_LEVEL_SDS of it.

    Returns
    -------
    float
        Error level in the unit of the field, positive.

    Notes
    -----
    The median absolute residual of the cross-validated gradient-Tikhonov map over the mask, over 0.6745 and over what
    the map leaves of white noise, sqrt(1 - mean of D^2 / (D^2 + lambda S)). In vivo it is several times the thermal SD,
    which alone asks for far too little regularisation. In thick slices the Tikhonov map explains so little that
    tissue would count as error; hence the upper limit.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.random.default_rng(0).normal(0, 0.02, grid.shape).astype(np.float32)
    >>> round(error_level(field, np.ones(grid.shape, bool), grid), 2)
    0.02
    """
    # Leaves the field's spectrum in the engine.
    # By cross-validation, whatever the method: it needs no noise.
    weight = tikhonov_weight(field, mask, grid)
    eng = engine(grid.shape)
    spectrum = eng.spectrum
    even = grid.shape[2] % 2 == 0
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    explained = closed_form.project_damped(*tables, np.float32(weight), 1, even, spectrum).sum() / eng.size
    # The field does not determine the mean.
    spectrum[0, 0, 0] = 0.0
    residual = eng.inverse(normalise=False)
    loops.subtract_field(eng.scale, field, residual)
    # The map takes some noise with it; the root puts that back.
    left = deviation_inside(residual, mask) / MAD_OF_NORMAL / np.sqrt(max(1.0 - explained, 0.05))
    noise = noise_level(field, mask, field_sd)
    most = np.inf if field_sd is None else MAX_LEVEL_SDS * noise
    return float(min(max(float(left), noise), most))


def gradient_weight(
    local_field_ppm: FloatArray, mask: BoolArray, grid: Grid, *, field_sd_ppm: FloatArray | None = None
) -> float:
    """Return the weight of an L1 norm of the gradient.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.

    Returns
    -------
    float
        Weight lambda, ppm mm, for |W (D chi - f)|^2 / 2 + lambda |grad chi|_1 with W of median 1; linear in the field.

    Notes
    -----
    0.15 times the voxel's edge times the error level. The weight at which the gradient of noise alone is taken out
    grows with its SD, not its variance.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.random.default_rng(0).normal(0, 0.02, grid.shape).astype(np.float32)
    >>> round(gradient_weight(field, np.ones(grid.shape, bool), grid), 3)
    0.003
    """
    edge_mm = grid.voxel_volume_mm3 ** (1 / 3)
    return GRADIENT_FACTOR * edge_mm * error_level(local_field_ppm, mask, grid, field_sd=field_sd_ppm)


def tissue_gradient(field: FloatArray, mask: BoolArray, grid: Grid, noise_sd: float) -> float:
    """Return the typical gradient of the susceptibility in tissue, without that of the noise.

    Parameters
    ----------
    field : ndarray of shape grid.shape, float32
        Local field, any unit; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined, not empty.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    noise_sd : float
        SD of the field's errors, unit of the field (`error_level`).

    Returns
    -------
    float
        Gradient between two voxels, unit of the field per mm, positive: the SD that its median stands for.

    Notes
    -----
    From the map chi_w of the frequencies at which |D| > 0.2, where noise is amplified least. Along each axis j, with
    the difference symbol S_j, the median absolute difference t_j within the mask, 3 voxels from its surface, gives ::

        m_j^2 = (t_j / 0.6745)^2 - noise_sd^2 mean(S_j / D^2 over these frequencies, 0 elsewhere)

    and m is the middle one of the three. The median leaves out edges, veins and lesions.

    Examples
    --------
    >>> grid = Grid.isotropic((32, 32, 32), 1.0)
    >>> noise = np.random.default_rng(0).normal(0, 0.01, grid.shape).astype(np.float32)
    >>> whole = np.ones(grid.shape, bool)
    >>> tissue_gradient(noise, whole, grid, 0.01) < 0.5 * tissue_gradient(noise, whole, grid, 0.001)
    True
    """
    transform_field(field, grid)
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    even = grid.shape[2] % 2 == 0
    # Sums of S_j / D^2 over the whole spectrum, by axis.
    sums = loops.divide_well_conditioned(*tables, np.float32(WELL_CONDITIONED), even, eng.spectrum).sum(
        axis=0
    )
    chi = eng.inverse()
    inner = erode(mask, EDGE_VOXELS * max(grid.voxel_size_mm), grid.voxel_size_mm)
    inner = inner if inner.any() else mask
    squares = []
    for axis, step_mm in enumerate(grid.voxel_size_mm):
        found = _typical_difference(chi, inner, axis) / step_mm
        noise = noise_sd**2 * float(sums[axis]) / eng.size
        squares.append(max(found**2 - noise, (MIN_GRADIENT * found) ** 2))
    return max(float(np.sqrt(np.median(squares))), float(np.finfo(np.float32).tiny))


def _typical_difference(volume: FloatArray, mask: BoolArray, axis: int) -> float:
    """Return the SD that the median absolute difference of neighbours along an axis stands for, both in the mask."""
    difference, both = np.zeros(volume.shape, np.float32), np.zeros(mask.shape, bool)
    values, inside, to, pairs = (np.moveaxis(a, axis, 0) for a in (volume, mask, difference, both))
    np.subtract(values[1:], values[:-1], out=to[:-1])
    np.logical_and(inside[1:], inside[:-1], out=pairs[:-1])
    return deviation_inside(difference, both) / MAD_OF_NORMAL if both.any() else 0.0


def _spectrum(grid: Grid, order: int, middle: tuple[float, float]) -> Spectrum:
    """Return what the criteria need of the spectrum in the engine.

    The amplitudes, for frequency balance alone, are those between the two of `middle`.
    """
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    # The squared symbol of the difference is a sum over axes, and so is its largest value.
    largest = sum(float(t[3].max()) for t in tables)
    band = np.float32(middle[0] * largest), np.float32(middle[1] * largest)
    step = ROW_STEP if eng.size >= MIN_SAMPLES_TO_SKIP_ROWS else 1
    rows = loops.histogram(*tables, (order, step), *band, grid.shape[2] % 2 == 0, eng.spectrum).sum(axis=0)
    # The middle of each bin.
    decades = (np.arange(loops.BINS) + 0.5) / float(loops.PER_DECADE) + float(loops.LOG_LOW)
    energy, samples, near, n_near, well, n_well = rows
    # Without a band both are empty; 1 spares a division by 0.
    bands = max(n_near.sum(), 1.0), max(n_well.sum(), 1.0)
    # Most bins are empty.
    some = samples > 0
    return Spectrum(
        ratio=10.0 ** decades[some],
        energy=energy[some] / eng.size,
        samples=samples[some],
        near_cone=near[some],
        well_conditioned=well[some],
        bands=bands,
    )


def _residual(spectrum: Spectrum) -> FloatArray:
    # Not a matrix product: its threads would wait on the cores of the next transforms.
    """Return the squared residual of the map of each weight."""
    return np.asarray(((1 - spectrum.explained()) ** 2 * spectrum.energy).sum(axis=1))


def _cross_validation(spectrum: Spectrum) -> float:
    """Return the weight at which residual over squared free samples is least."""
    # The trace of I minus the influence matrix, which is diagonal in k-space.
    free = ((1 - spectrum.explained()) * spectrum.samples).sum(axis=1)
    return float(WEIGHTS[np.argmin(_residual(spectrum) / np.square(free))])


def _discrepancy(spectrum: Spectrum, expected: float) -> float:
    # The residual grows with the weight: the first that leaves as much as the noise.
    """Return the first weight whose residual reaches the noise."""
    at = int(np.searchsorted(_residual(spectrum), expected))
    return float(WEIGHTS[min(at, WEIGHTS.size - 1)])


def _l_curve(spectrum: Spectrum) -> float:
    """Return the weight at the point of largest curvature of log residual against log regulariser."""
    tiny = np.finfo(float).tiny
    norm = (spectrum.energy * spectrum.explained() ** 2 / spectrum.ratio).sum(axis=1)
    x, y = np.log(_residual(spectrum) + tiny), np.log(norm + tiny)
    dx, dy = np.gradient(x), np.gradient(y)
    speed = np.maximum(dx**2 + dy**2, tiny) ** 1.5
    curvature = (dx * np.gradient(dy) - dy * np.gradient(dx)) / speed
    # Second differences at the ends of the sweep are one-sided.
    inner = slice(4, -4)
    return float(WEIGHTS[inner][np.argmax(curvature[inner])])


def _frequency_balance(spectrum: Spectrum) -> float:
    """Return the weight at which the map's mean amplitude near the cone is that of the well-conditioned frequencies."""
    near, well = (
        (band * spectrum.explained()).sum(axis=1) / n
        for band, n in zip((spectrum.near_cone, spectrum.well_conditioned), spectrum.bands, strict=True)
    )
    # Near the cone a small weight amplifies; the first that no longer does is the balance.
    return float(WEIGHTS[np.argmax(near <= well)])
