"""Loops of the choice of a weight."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import dipole_at
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

BINS = 256
"""Bins of log10(D^2 / S^order), a count: with `PER_DECADE` they cover 21 decades from `LOG_LOW` on."""
LOG_LOW = np.float32(-14.0)
"""Logarithm at the low end of the first bin, log10 of mm^(2 order)."""
PER_DECADE = np.float32(12.0)
"""Bins a decade, a count: a ratio is then known to 10 %."""
NEAR_CONE = (np.float32(0.05), np.float32(0.15))
"""Absolute values of the kernel between which a sample lies near the cone, for frequency balance."""
WELL_CONDITIONED = np.float32(0.3)
"""Absolute value of the kernel above which a sample is well conditioned, for frequency balance."""

PER_OCTAVE = np.float32(12.0 * np.log10(2.0))
"""Bins an octave: those a decade times log10(2)."""
ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
"""Numbers 0, 1/2 and 1 in float32, so that no sum becomes float64."""
MANTISSA = 0x7FFFFF
"""Bits of a float32 that hold its mantissa."""
MAX_BIN = np.float32(BINS - 1)
"""Number of the last bin, which takes all beyond it."""
LOG2 = tuple(
    np.float32(c) for c in (0.5849625, 0.9618208, -0.3206130, 0.1417247, -0.0707969, 0.0439075, -0.0245685)
)
"""Coefficients of log2(t + 1.5) in powers of t for |t| <= 0.5, by Chebyshev nodes: 2.4e-6 off at most, 1e-5 of a
bin.
"""


@compiled
def _log2(value: Any) -> Any:
    """Return the logarithm of a positive normal number, in vector registers."""
    # The exponent's bits are the whole part of the logarithm, the mantissa's the rest.
    bits = np.float32(value).view(np.int32)
    exponent = np.float32((bits >> 23) - 127)
    t = np.int32((bits & MANTISSA) | 0x3F800000).view(np.float32) - np.float32(1.5)
    total = LOG2[6]
    total = total * t + LOG2[5]
    total = total * t + LOG2[4]
    total = total * t + LOG2[3]
    total = total * t + LOG2[2]
    total = total * t + LOG2[1]
    return total * t + LOG2[0] + exponent


@compiled
def _fill_row(row: Any, tz: Any, sums: Any, order: Any, place: Any, energy: Any) -> None:
    """Write bin and energy of one row of the spectrum; `sums` are those of the tables over the other two axes."""
    k2, along, extra, across = sums
    for z in range(row.size):
        d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
        s = across + tz[3, z]
        # S^order without a power, which has no vector form.
        power = (s if order > 0 else ONE) * (s if order > 1 else ONE)
        # The bound keeps the cone itself, where D is 0, in the first bin.
        position = (_log2(max(d * d, np.float32(1e-20)) / power) * PER_OCTAVE) - LOG_LOW * PER_DECADE
        place[z] = np.int32(min(max(position, np.float32(0)), MAX_BIN))
        value = row[z]
        energy[z] = value.real * value.real + value.imag * value.imag


@compiled
def _add_amplitude(d: Any, energy: Any, twice: Any, place: Any, out: Any) -> None:
    """Add a sample's |F / D| to the sums near the cone or of the well-conditioned frequencies."""
    # The map's amplitude is the field's over D.
    if d > WELL_CONDITIONED:
        out[4, place] += twice * np.sqrt(energy) / d
        out[5, place] += twice
    elif NEAR_CONE[0] < d < NEAR_CONE[1]:
        out[2, place] += twice * np.sqrt(energy) / d
        out[3, place] += twice


@compiled
def _row_weight(x: Any, y: Any, nx: Any, ny: Any, step: Any) -> Any:
    """Return how many rows a row stands for: itself near the origin, `step` rows or none elsewhere."""
    # Within an eighth of the spectrum's width around the origin.
    if 8 * min(x, nx - x) < nx and 8 * min(y, ny - y) < ny:
        return 1
    return 0 if (x + y) % step else step


@compiled
def _add_row(place: Any, energy: Any, twice: Any, energies: Any, counts: Any) -> None:
    """Add a row's energy and `twice` samples each to the bins; neighbours apart: a sum waits for the one before it."""
    # Neighbours often fall into one bin, and a sum would wait for the one before it.
    first, second, few, many = energies[0], energies[1], counts[0], counts[1]
    for pair in range(place.size // 2):
        i, j = np.uint32(place[2 * pair]), np.uint32(place[2 * pair + 1])
        first[i] += energy[2 * pair]
        second[j] += energy[2 * pair + 1]
        few[i] += twice
        many[j] += twice
    if place.size % 2:
        first[place[-1]] += energy[-1]
        few[place[-1]] += twice


@compiled(parallel=True)
def histogram(tx: Any, ty: Any, tz: Any, settings: Any, low: Any, high: Any, even: Any, spectrum: Any) -> Any:
    """Return by plane and bin of log10(D^2 / S^order): energy, samples, |F / D| near the cone and away, and their
    samples.

    The last four where low < S < high. A weight acts on all samples of a bin alike, so any number of weights costs one
    pass. Samples of the half spectrum stand for two, but for those of the planes that mirror themselves. `settings`
    holds the order and the step between rows of high frequency.
    """
    nx, ny, nz = spectrum.shape
    order, step = settings
    out = np.zeros((nx, 6, BINS))
    for x in prange(nx):
        place, energy = np.empty(nz, np.int32), np.empty(nz, np.float32)
        energies, counts = np.zeros((2, BINS)), np.zeros((2, BINS), np.int64)
        for y in range(ny):
            times = _row_weight(x, y, nx, ny, step)
            if not times:
                continue
            sums = (tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y], tx[3, x] + ty[3, y])
            _fill_row(spectrum[x, y], tz, sums, order, place, energy)
            if low < high:
                for z in range(int(x + y == 0), nz):
                    if low < sums[3] + tz[3, z] < high:
                        twice = times * (1.0 if z == 0 or (even and z == nz - 1) else 2.0)
                        d = abs(dipole_at(sums[0] + tz[0, z], sums[1] + tz[1, z], sums[2] + tz[2, z]))
                        _add_amplitude(d, energy[z], twice, place[z], out[x])
            # The plane z = 0 is its own mirror image: half of twice. The mean does not count.
            energy[0] *= HALF if x + y else ZERO
            # The loop below adds two samples for each voxel.
            counts[0, place[0]] -= times if x + y else 2
            if even:
                energy[-1] *= HALF
                counts[0, place[-1]] -= times
            if times > 1:
                energy *= np.float32(times)
            _add_row(place, energy, 2 * times, energies, counts)
        for b in range(BINS):
            out[x, 0, b] = 2.0 * (energies[0, b] + energies[1, b])
            out[x, 1, b] = counts[0, b] + counts[1, b]
    return out


@compiled(parallel=True)
def subtract_field(scale: Any, field: Any, real: Any) -> None:
    """Turn a modelled field, which lacks `scale`, into its residual, in place."""
    nx, ny, nz = real.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                real[x, y, z] = real[x, y, z] * scale - field[x, y, z]


@compiled(parallel=True)
def divide_well_conditioned(tx: Any, ty: Any, tz: Any, threshold: Any, even: Any, spectrum: Any) -> Any:
    """Divide a half spectrum by D where |D| exceeds the threshold, clear it elsewhere; return sums of S_j / D^2.

    S_j is the squared symbol of the difference along axis j; sums by plane, over the whole spectrum, in three columns.
    """
    nx, ny, nz = spectrum.shape
    sums = np.zeros((nx, 3))
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            across = axial = ZERO
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                inverse = ONE / d if abs(d) > threshold else ZERO
                spectrum[x, y, z] *= inverse
                # Samples off the planes kz = 0 and Nyquist stand for two.
                twice = ONE if z == 0 or (even and z == nz - 1) else ONE + ONE
                across += twice * inverse * inverse
                axial += twice * inverse * inverse * tz[3, z]
            sums[x, 0] += across * tx[3, x]
            sums[x, 1] += across * ty[3, y]
            sums[x, 2] += axial
    # The mean of a map is not known.
    spectrum[0, 0, 0] = 0.0
    return sums
