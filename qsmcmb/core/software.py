"""Versions of all software that a result depends on, for its provenance."""

from __future__ import annotations

import platform
from importlib import metadata

from qsmcmb.core.fft import library_versions
from qsmcmb.version import version

__all__ = ("software_versions",)

LIBRARIES = ("numpy", "scipy", "numba", "nibabel", "SimpleITK")
"""Distributions that compute, read or write a number; pyFFTW and FFTW come from the engine, which may do without."""


def software_versions() -> dict[str, str]:
    """Return the version of qsmcmb, of Python and of every library that computes.

    Returns
    -------
    dict of str to str
        Versions by name, qsmcmb first; pyfftw and FFTW are left out where `scipy.fft` does their work, and "unknown"
        stands for a library whose installation tells none.

    Examples
    --------
    >>> list(software_versions())[:3]
    ['qsmcmb', 'Python', 'numpy']
    """
    libraries = {name: _installed(name) for name in LIBRARIES}
    return {"qsmcmb": version(), "Python": platform.python_version(), **libraries, **library_versions()}


def _installed(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "unknown"
