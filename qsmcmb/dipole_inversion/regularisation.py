"""The weight of a variational method from the data: what `regularisation=None` means.

Closed-form Tikhonov, min |D chi - f|^2 + lambda |R chi|^2, is diagonal in k-space, so four criteria are compared
there for the price of one transform: generalised cross-validation, the discrepancy principle, the L-curve
(Bilgic et al. 2014, doi 10.1002/mrm.25029) and frequency balance (after Milovic et al. 2021,
doi 10.1002/mrm.28435). docs/explanation/regularisation.md shows why the first is the default.

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
from qsmcmb.core.robust import deviation_inside
from qsmcmb.core.validate import check_choice
from qsmcmb.dipole_inversion import _closed_form_loops as closed_form
from qsmcmb.dipole_inversion import _regularisation_loops as loops
from qsmcmb.dipole_inversion.closed_form import transform_field
from qsmcmb.dipole_inversion.noise import noise_level
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

CRITERIA = ("cross-validation", "discrepancy", "l-curve", "frequency")
WEIGHTS = np.logspace(-7.0, 1.0, 129)
"""Tikhonov weights tried, in mm^(2 order)."""
MIDDLE = (0.01, 1 / 3)
"""Squared difference symbol over its largest value where frequency balance looks: neither the few lowest
frequencies, where the map is strongest, nor the corners."""
ROW_STEP, MANY = 4, 2**20
"""Of a spectrum of so many samples one row in four is enough, but for the low frequencies, where the energy is."""
GRADIENT_FACTOR = 0.15
"""Weight of total variation over error level and voxel edge: the best on piecewise constant phantoms over a
noise range of 1 to 16; see docs/explanation/regularisation.md."""


class Spectrum(NamedTuple):
    """Energy of a field, and what the criteria need besides, by bin of D^2 / S^order."""

    ratio: FloatArray
    energy: FloatArray
    samples: FloatArray
    near_cone: FloatArray
    well_conditioned: FloatArray
    bands: tuple[float, float]

    def kept(self) -> FloatArray:
        """Return the part of each bin's field that the map of each of `WEIGHTS` explains, by weight."""
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
        Local field, any unit, 0 outside the mask.
    mask : ndarray of bool
        Where it is defined.
    grid : Grid
        Geometry with the direction of B0.
    order : int, optional
        0: identity, 1: gradient, 2: Laplacian.
    criterion : {"cross-validation", "discrepancy", "l-curve", "frequency"}, optional
        How it is chosen.
    field_sd : ndarray of shape grid.shape, optional
        SD of the field, its unit, for the discrepancy principle.

    Returns
    -------
    float
        lambda in mm^(2 order); 1e-7 to 10.

    Notes
    -----
    The field's spectrum stays in the engine's buffer.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    >>> tikhonov_weight(field, np.ones(grid.shape, bool), grid) > 0.1
    True
    """
    check_choice("criterion", criterion, CRITERIA)
    transform_field(field, grid)
    spectrum = _spectrum(grid, order, MIDDLE if criterion == "frequency" else (0.0, 0.0))
    if criterion == "discrepancy":
        expected = noise_level(field, mask, field_sd) ** 2 * int(mask.sum())
        return _discrepancy(spectrum, expected)
    chooser = {"cross-validation": _cross_validation, "l-curve": _l_curve, "frequency": _frequency_balance}
    return chooser[criterion](spectrum)


def error_level(
    field: FloatArray, mask: BoolArray, grid: Grid, *, field_sd: FloatArray | None = None
) -> float:
    """Return the SD of what no susceptibility map explains: noise, and what background removal left.

    Parameters
    ----------
    field : ndarray of shape grid.shape, float32
        Local field, any unit, 0 outside the mask.
    mask : ndarray of bool
        Where it is defined.
    grid : Grid
        Geometry with the direction of B0.
    field_sd : ndarray of shape grid.shape, optional
        SD of the field, its unit: the level is at least its median.

    Returns
    -------
    float
        In the unit of the field; positive.

    Notes
    -----
    Robust: the median absolute residual of the cross-validated gradient-Tikhonov map over the mask, over what the
    map leaves of white noise. In vivo it is several times the thermal SD, which alone asks for far too little
    regularisation.
    """
    # Leaves the field's spectrum in the engine.
    weight = tikhonov_weight(field, mask, grid)
    eng = engine(grid.shape)
    spectrum = eng.spectrum
    even = grid.shape[2] % 2 == 0
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    explained = closed_form.project_damped(*tables, np.float32(weight), 1, even, spectrum).sum() / eng.size
    spectrum[0, 0, 0] = 0.0
    residual = eng.inverse(normalise=False)
    loops.subtract_field(eng.scale, field, residual)
    left = deviation_inside(residual, mask) / 0.6745 / np.sqrt(max(1.0 - explained, 0.05))
    return max(left, noise_level(field, mask, field_sd))


def gradient_weight(
    local_field_ppm: FloatArray, mask: BoolArray, grid: Grid, *, field_sd_ppm: FloatArray | None = None
) -> float:
    """Return the weight of an L1 norm of the gradient.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where it is defined.
    grid : Grid
        Geometry with the direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.

    Returns
    -------
    float
        Weight in ppm mm, for |W (D chi - f)|^2 / 2 + weight |grad chi|_1 with W of median 1; linear in the field.

    Notes
    -----
    Proportional to the error and to the voxel's edge: the weight at which the gradient of noise alone is taken out
    grows with its SD, not its variance.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    >>> 0.05 < gradient_weight(field, np.ones(grid.shape, bool), grid) < 0.2
    True
    """
    edge_mm = grid.voxel_volume_mm3 ** (1 / 3)
    return GRADIENT_FACTOR * edge_mm * error_level(local_field_ppm, mask, grid, field_sd=field_sd_ppm)


def _spectrum(grid: Grid, order: int, middle: tuple[float, float]) -> Spectrum:
    """Return what the criteria need of the spectrum in the engine.

    The amplitudes, for frequency balance alone, are those between the two of `middle`.
    """
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    largest = sum(float(t[3].max()) for t in tables)
    band = np.float32(middle[0] * largest), np.float32(middle[1] * largest)
    step = ROW_STEP if eng.size >= MANY else 1
    rows = loops.histogram(*tables, (order, step), *band, grid.shape[2] % 2 == 0, eng.spectrum).sum(axis=0)
    decades = (np.arange(loops.BINS) + 0.5) / float(loops.PER_DECADE) + float(loops.LOG_LOW)
    energy, samples, near, n_near, well, n_well = rows
    bands = max(n_near.sum(), 1.0), max(n_well.sum(), 1.0)
    # Most bins are empty.
    some = samples > 0
    return Spectrum(
        10.0 ** decades[some], energy[some] / eng.size, samples[some], near[some], well[some], bands
    )


def _residual(spectrum: Spectrum) -> FloatArray:
    # Not a matrix product: its threads would wait on the cores of the next transforms.
    return np.asarray(((1 - spectrum.kept()) ** 2 * spectrum.energy).sum(axis=1))


def _cross_validation(spectrum: Spectrum) -> float:
    free = ((1 - spectrum.kept()) * spectrum.samples).sum(axis=1)
    return float(WEIGHTS[np.argmin(_residual(spectrum) / np.square(free))])


def _discrepancy(spectrum: Spectrum, expected: float) -> float:
    # The residual grows with the weight: the first that leaves as much as the noise.
    at = int(np.searchsorted(_residual(spectrum), expected))
    return float(WEIGHTS[min(at, WEIGHTS.size - 1)])


def _l_curve(spectrum: Spectrum) -> float:
    """Point of largest curvature of log residual against log regulariser."""
    tiny = np.finfo(float).tiny
    norm = (spectrum.energy * spectrum.kept() ** 2 / spectrum.ratio).sum(axis=1)
    x, y = np.log(_residual(spectrum) + tiny), np.log(norm + tiny)
    dx, dy = np.gradient(x), np.gradient(y)
    speed = np.maximum(dx**2 + dy**2, tiny) ** 1.5
    curvature = (dx * np.gradient(dy) - dy * np.gradient(dx)) / speed
    inner = slice(4, -4)
    return float(WEIGHTS[inner][np.argmax(curvature[inner])])


def _frequency_balance(spectrum: Spectrum) -> float:
    """Weight at which the map's mean amplitude near the cone is that of the well-conditioned frequencies."""
    near, well = (
        (band * spectrum.kept()).sum(axis=1) / n
        for band, n in zip((spectrum.near_cone, spectrum.well_conditioned), spectrum.bands, strict=True)
    )
    return float(WEIGHTS[np.argmax(near <= well)])
