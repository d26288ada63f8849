"""Versions of all software that a result depends on, for its provenance."""

from __future__ import annotations

import platform
from importlib import metadata

from qsmcmb.core.fft import library_versions
from qsmcmb.version import version

__all__ = ("software_versions",)

LIBRARIES = ("numpy", "scipy", "numba", "nibabel", "SimpleITK")
"""Distributions that compute, read or write a number; pyFFTW and FFTW come from the engine, which may do without."""

OPTIONAL = ("deepbet", "torch")
"""Distributions of a method that not everyone installs: a mask of another version of them is another mask."""


def software_versions() -> dict[str, str]:
    """Return the version of qsmcmb, of Python and of every library that computes.

    Returns
    -------
    dict of str to str
        Versions by name, qsmcmb first; pyfftw and FFTW are left out where `scipy.fft` does their work, as are optional
        libraries that are not installed. "unknown" stands for a library whose installation tells none.

    Examples
    --------
    >>> list(software_versions())[:3]
    ['qsmcmb', 'Python', 'numpy']
    """
    libraries = {name: _installed(name) or "unknown" for name in LIBRARIES}
    optional = {name: found for name in OPTIONAL if (found := _installed(name))}
    return {
        "qsmcmb": version(), "Python": platform.python_version(), **libraries, **library_versions(), **optional,
    }  # fmt: skip


def _installed(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
