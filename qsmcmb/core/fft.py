"""The one FFT engine: real float32 transforms, whose plans follow from the shape alone.

FFTW can also try plans and take the fastest. Then the choice depends on what else the machine does, and with it the
last bits of every result. The plans that it estimates take 1.2 to 1.5 times as long, except on shapes that `fast_shape`
leaves out; a whole run takes 2 % longer, and no seconds of trying at its start. pyFFTW does the work; where it is
missing, `scipy.fft` does. Plans and their buffers belong to one thread:
a plan shared between threads gives wrong results. `qsmcmb.core.compiled` must be imported before pyFFTW is.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import scipy.fft

import qsmcmb.core.compiled  # noqa: F401 (it says how OpenMP's threads wait, before pyFFTW brings them)
from qsmcmb.core.packages import hidden
from qsmcmb.typing import ComplexArray, FloatArray

try:
    # Its interface to Dask's arrays would load Dask wherever that is installed, half a second of each process.
    with hidden("dask"):
        import pyfftw
except ImportError:  # pragma: no cover - exercised by a test that hides pyfftw
    pyfftw = None

__all__ = (
    "FftEngine",
    "Shape",
    "convolve",
    "engine",
    "fast_shape",
    "fast_size",
    "half_shape",
    "irfftn",
    "release",
    "rfftn",
    "thread_count",
)

Shape = tuple[int, int, int]
"""Number of voxels along the three axes."""
PLAN = "FFTW_ESTIMATE"
"""How FFTW chooses a plan: by counting operations, not by the clock."""
CONFLICT = 128
"""Voxels along x and y whose multiples, both together, make columns meet in the same lines of the processor's cache."""
MIN_CONFLICT = 2**16
"""Voxels in a plane from which on that happens: a transform takes three times as long."""
MAX_PLANS = 6
"""Plans that a thread holds: a method works on one or two shapes, and a multigrid on one for each level."""
MAX_CACHED_BYTES = 768 * 1024**2
"""Bytes of buffers that one thread's cached plans may hold: a multigrid's levels fit, six full grids do not."""
MAX_SERIAL_VOXELS = 2**15
"""Voxels up to which a transform on one thread is as fast as on two (measured on two cores)."""
_local = threading.local()
_planner = threading.Lock()


def thread_count() -> int:
    """Return the number of threads of one transform.

    Returns
    -------
    int
        The environment variable QSMCMB_THREADS, else the machine's cores; >= 1.

    Examples
    --------
    >>> thread_count() >= 1
    True
    """
    return max(1, int(os.environ.get("QSMCMB_THREADS", os.cpu_count() or 1)))


def half_shape(shape: Shape) -> Shape:
    """Return the shape of the half spectrum of a real volume.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume.

    Returns
    -------
    tuple of int
        The same but for the last axis, which is halved.

    Examples
    --------
    >>> half_shape((8, 8, 8))
    (8, 8, 5)
    """
    return shape[0], shape[1], shape[2] // 2 + 1


def fast_size(n: int) -> int:
    """Return the next size on the ladder of fast ones: multiples of 4 made of 2, 3, 5 and at most one 7.

    Measured, a size off the ladder (189, 196, 210, 225, 250) takes longer than the next one on it; few sizes
    also mean that plans are found again. A 7 only pays beside an 8.

    Parameters
    ----------
    n : int
        Least size, >= 1.

    Returns
    -------
    int
        Size on the ladder, >= n and >= 4.

    Examples
    --------
    >>> [fast_size(n) for n in (41, 161, 217, 225)]
    [48, 168, 224, 240]
    """
    size = max(4, -(-n // 4) * 4)
    while not _is_fast(size):
        size += 4
    return size


def _is_fast(size: int) -> bool:
    """Say whether a size is on the ladder."""
    rest = size
    for factor in (2, 3, 5):
        while rest % factor == 0:
            rest //= factor
    return rest == 1 or (rest == 7 and size % 8 == 0)


def fast_shape(shape: Shape, pad: int | Shape = 0) -> Shape:
    """Return the next larger shape whose transforms are fast.

    Parameters
    ----------
    shape : tuple of int
        Shape of the volume.
    pad : int or tuple of int, optional
        Voxels to add at least, along all axes or along each.

    Returns
    -------
    tuple of int
        `fast_size` of each axis with its padding, along y the next one where x and y conflict; all even.

    Examples
    --------
    >>> fast_shape((51, 51, 41)), fast_shape((256, 256, 160))
    ((56, 56, 48), (256, 280, 160))
    """
    pads = (pad, pad, pad) if isinstance(pad, int) else pad
    nx, ny, nz = (fast_size(n + p) for n, p in zip(shape, pads, strict=True))
    if nx % CONFLICT == 0 and ny % CONFLICT == 0 and nx * ny >= MIN_CONFLICT:
        ny = fast_size(ny + 1)
    return nx, ny, nz


class FftEngine:
    """Forward and inverse transform of one shape, with its own aligned buffers.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volumes.

    Attributes
    ----------
    real : ndarray of shape (x, y, z), float32
        The plan's volume: `forward` reads it, `inverse` fills it.
    spectrum : ndarray of shape (x, y, z // 2 + 1), complex64
        The plan's half spectrum: `forward` fills it, `inverse` reads and destroys it. Working in the buffers saves a
        copy each way.
    size : int
        Number of voxels.
    scale : float32
        1 / voxels. With the scale in its kernel a method saves a pass: ``inverse(normalise=False)``.

    Examples
    --------
    >>> eng = FftEngine((4, 4, 4))
    >>> eng.real[...] = 1
    >>> float(eng.forward()[0, 0, 0].real), float(eng.inverse()[0, 0, 0])
    (64.0, 1.0)
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.size = int(np.prod(shape))
        self.scale = np.float32(1.0 / self.size)
        threads = thread_count() if self.size > MAX_SERIAL_VOXELS else 1
        if pyfftw is None:
            self.real: Any = np.zeros(shape, np.float32)
            self.spectrum: Any = np.zeros(half_shape(shape), np.complex64)
            self._forward = self._inverse = None
            return
        self.real = pyfftw.zeros_aligned(shape, "float32")
        self.spectrum = pyfftw.zeros_aligned(half_shape(shape), "complex64")
        options: dict[str, Any] = {"axes": (0, 1, 2), "flags": (PLAN,), "threads": threads}
        with _planner:
            # What FFTW remembers of other shapes would have a say in the plan.
            pyfftw.forget_wisdom()
            self._forward = pyfftw.FFTW(self.real, self.spectrum, **options)
            options["flags"] = (PLAN, "FFTW_DESTROY_INPUT")
            self._inverse = pyfftw.FFTW(self.spectrum, self.real, direction="FFTW_BACKWARD", **options)
        self.real[...] = 0
        self.spectrum[...] = 0

    @property
    def nbytes(self) -> int:
        """Bytes of both buffers."""
        return int(self.real.nbytes + self.spectrum.nbytes)

    def forward(self) -> ComplexArray:
        """Transform `real` into `spectrum`.

        Returns
        -------
        ndarray of shape (x, y, z // 2 + 1), complex64
            The buffer `spectrum` itself, unit of `real`.

        Examples
        --------
        >>> eng = FftEngine((4, 4, 4))
        >>> eng.real[...] = 2
        >>> complex(eng.forward()[0, 0, 0])
        (128+0j)
        """
        if self._forward is None:
            self.spectrum[...] = scipy.fft.rfftn(self.real, workers=thread_count())
        else:
            self._forward.execute()
        return self.spectrum

    def inverse(self, *, normalise: bool = True, source: ComplexArray | None = None) -> FloatArray:
        """Transform a half spectrum into `real`.

        Parameters
        ----------
        normalise : bool, optional
            Multiply by `scale`; without it the result lacks this factor.
        source : ndarray of shape (x, y, z // 2 + 1), complex64, optional
            Half spectrum in memory of its own, transformed and destroyed in place of `spectrum`: it saves a copy.

        Returns
        -------
        ndarray of shape (x, y, z), float32
            The buffer `real` itself, unit of the spectrum.

        Examples
        --------
        >>> eng = FftEngine((4, 4, 4))
        >>> eng.spectrum[0, 0, 0] = 64
        >>> float(eng.inverse()[1, 2, 3])
        1.0
        """
        spectrum = self.spectrum if source is None else self._aligned(source)
        if self._inverse is None:
            norm = "backward" if normalise else "forward"
            self.real[...] = scipy.fft.irfftn(spectrum, s=self.shape, norm=norm, workers=thread_count())
            return self.real
        self._inverse.update_arrays(spectrum, self.real)
        self._inverse.execute()
        if normalise:
            self.real *= self.scale
        return self.real

    def _aligned(self, source: ComplexArray) -> ComplexArray:
        # A plan holds for memory that is aligned as its own buffers are.
        """Return a half spectrum in memory that the inverse plan can read: itself, or the buffer with its values."""
        if self._inverse is None or pyfftw.is_byte_aligned(source, self._inverse.input_alignment):
            return source
        self.spectrum[...] = source
        return self.spectrum


def engine(shape: Shape) -> FftEngine:
    """Return this thread's engine for a shape.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volumes.

    Returns
    -------
    FftEngine
        Planned at the first call for the shape; the last few shapes stay planned. Its buffers hold what their last user
        left.

    Examples
    --------
    >>> engine((4, 4, 4)) is engine((4, 4, 4))
    True
    """
    cached: OrderedDict[Shape, FftEngine] | None = getattr(_local, "engines", None)
    if cached is None:
        cached = _local.engines = OrderedDict()
    if shape in cached:
        cached.move_to_end(shape)
    else:
        cached[shape] = FftEngine(shape)
        while len(cached) > 1 and (
            len(cached) > MAX_PLANS or sum(e.nbytes for e in cached.values()) > MAX_CACHED_BYTES
        ):
            cached.popitem(last=False)
    return cached[shape]


def library_versions() -> dict[str, str]:
    """Return the versions of pyFFTW and of the FFTW library in it; none where `scipy.fft` does the work."""
    if pyfftw is None:
        return {}
    # pyFFTW says nothing of an FFTW that it can't name.
    fftw = {"FFTW": pyfftw.fftw_version} if pyfftw.fftw_version else {}
    return {"pyfftw": pyfftw.__version__, **fftw}


def release() -> None:
    """Free this thread's plans and buffers.

    Examples
    --------
    >>> release()
    """
    _local.engines = OrderedDict()


def rfftn(volume: FloatArray) -> ComplexArray:
    """Return the half spectrum of a real volume.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z)
        Any real type and unit; computed in float32.

    Returns
    -------
    ndarray of shape (x, y, z // 2 + 1), complex64
        A fresh array, unit of `volume`.

    Examples
    --------
    >>> float(rfftn(np.ones((4, 4, 4), np.float32))[0, 0, 0].real)
    64.0
    """
    eng = engine(_shape3(volume.shape))
    eng.real[...] = volume
    return np.array(eng.forward())


def irfftn(spectrum: ComplexArray, shape: Shape) -> FloatArray:
    """Return the real volume of a half spectrum.

    Parameters
    ----------
    spectrum : ndarray of shape (x, y, z // 2 + 1)
        Half spectrum, any unit; computed in complex64.
    shape : tuple of int
        Shape of the volume.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        A fresh array, unit of `spectrum`.

    Examples
    --------
    >>> irfftn(rfftn(np.ones((4, 4, 4), np.float32)), (4, 4, 4))[0, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    eng = engine(_shape3(shape))
    eng.spectrum[...] = spectrum
    return eng.inverse(normalise=False) * eng.scale


def convolve(volume: FloatArray, kernel_k: FloatArray | ComplexArray) -> FloatArray:
    """Return the circular convolution of a volume with a kernel given in k-space.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z)
        Any real type and unit; computed in float32.
    kernel_k : ndarray of shape (x, y, z // 2 + 1)
        Half spectrum of the kernel, real or complex.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        A fresh array, the product of both units.

    Examples
    --------
    >>> volume = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    >>> bool(np.allclose(convolve(volume, np.full((4, 4, 3), 2.0)), 2 * volume, atol=1e-4))
    True
    """
    eng = engine(_shape3(volume.shape))
    eng.real[...] = volume
    spectrum = eng.forward()
    spectrum *= kernel_k
    return eng.inverse(normalise=False) * eng.scale


def _shape3(shape: tuple[int, ...]) -> Shape:
    """Return a shape as a tuple of three."""
    nx, ny, nz = shape
    return nx, ny, nz
