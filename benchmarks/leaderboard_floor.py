"""What a method's floor is made of: its transforms, the bytes that its loops cannot but move, its result's memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from qsmcmb.core.fft import FftEngine, half_shape


class Transforms:
    """Counts and times what the FFT engine does while the context lasts, by shape; planning apart."""

    def __init__(self) -> None:
        self.counts: dict[tuple[int, int, int], int] = {}
        self.planning_s = 0.0
        self._kept = {n: getattr(FftEngine, n) for n in ("__init__", "forward", "inverse")}

    def __enter__(self) -> Transforms:
        make = self._kept["__init__"]

        def planned(engine: Any, shape: Any) -> None:
            start = time.perf_counter()
            make(engine, shape)
            self.planning_s += time.perf_counter() - start

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(engine: Any, **options: Any) -> Any:
                self.counts[engine.shape] = self.counts.get(engine.shape, 0) + 1
                return function(engine, **options)

            return call

        FftEngine.__init__ = planned  # type: ignore[method-assign]
        for name in ("forward", "inverse"):
            setattr(FftEngine, name, counted(self._kept[name]))
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self._kept.items():
            setattr(FftEngine, name, function)

    def reset(self) -> None:
        """Forget the counts."""
        self.counts, self.planning_s = {}, 0.0


def pair_seconds(shape: tuple[int, int, int], repeats: int = 7) -> float:
    """Return the fastest of some planned forward and inverse transforms."""
    return min(_pair_times(shape, repeats))


def median_pair_seconds(shape: tuple[int, int, int], repeats: int = 5) -> float:
    """Return what a pair takes at this moment, whatever else the machine has to do."""
    return float(np.median(_pair_times(shape, repeats)))


def _pair_times(shape: tuple[int, int, int], repeats: int) -> list[float]:
    engine = FftEngine(shape)
    engine.real[...] = 1
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        engine.forward()
        engine.inverse(normalise=False)
        times.append(time.perf_counter() - start)
    return times


def bandwidth(shape: tuple[int, int, int]) -> float:
    """Return the bytes a second that a parallel copy of a volume reads and writes."""
    from qsmcmb.dipole_inversion._admm_loops import copy

    source, out = np.ones((2, *shape), np.float32)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        copy(source, out)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(times)


def mapping_seconds(mask: Any) -> float:
    """Return what the system takes to map the memory of a result that is written in the mask's box alone."""
    from qsmcmb.core.memory import sparse_zeros
    from qsmcmb.core.morphology import bounding_box
    from qsmcmb.dipole_inversion._admm_loops import copy

    box = bounding_box(mask)
    source, times = np.ones([s.stop - s.start for s in box], np.float32), []
    for _ in range(6):
        out = sparse_zeros(mask.shape)[box]
        start = time.perf_counter()
        copy(source, out)
        between = time.perf_counter()
        copy(source, out)
        times.append(2 * between - start - time.perf_counter())
    return max(min(times), 0.0)


class Traffic:
    """The bytes that the compiled loops called while the context lasts must move at least.

    Between two transforms each array that loops touch counts once, read or written, however often they do: a lower
    bound, for a store reads its line first. Of an array smaller than the transform's, which is the mask's box, the
    share counts that the mask fills. What plain NumPy moves does not count.

    Parameters
    ----------
    share : float
        Part of its box that the mask fills.
    """

    def __init__(self, share: float) -> None:
        self.moved = 0.0
        self._share = share
        self._touched: dict[int, Any] = {}
        self._whole: set[tuple[int, ...]] = set()
        self._kept: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Traffic:
        modules = [m for name, m in sys.modules.items() if name.startswith("qsmcmb.")]
        for module in modules:
            for name, loop in list(vars(module).items()):
                if isinstance(loop, Dispatcher):
                    self._replace(module, name, self._touching(loop))
        for name in ("forward", "inverse"):
            self._replace(FftEngine, name, self._transforming(getattr(FftEngine, name)))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self._kept:
            setattr(owner, name, function)
        self._count()

    def _replace(self, owner: Any, name: str, function: Any) -> None:
        self._kept.append((owner, name, getattr(owner, name)))
        setattr(owner, name, function)

    def _touching(self, loop: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._touch(arguments)
            return loop(*arguments)

        return call

    def _transforming(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(engine: Any, **options: Any) -> Any:
            self._whole |= {engine.shape, half_shape(engine.shape)}
            self._count()
            return function(engine, **options)

        return call

    def _touch(self, arguments: tuple[Any, ...]) -> None:
        for argument in arguments:
            if isinstance(argument, tuple):
                self._touch(argument)
            elif isinstance(argument, np.ndarray):
                place = argument.__array_interface__["data"][0]
                if place not in self._touched or self._touched[place].nbytes < argument.nbytes:
                    self._touched[place] = argument

    def _count(self) -> None:
        for array in self._touched.values():
            self.moved += array.nbytes * (1.0 if array.shape[-3:] in self._whole else self._share)
        self._touched.clear()
