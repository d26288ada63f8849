"""The versions that a provenance holds are those of what runs."""

import platform
from importlib import metadata

import nibabel
import numba
import numpy as np
import pyfftw
import pytest
import scipy
import SimpleITK

import qsmcmb
from qsmcmb.core import fft, software
from qsmcmb.core.software import software_versions


def test_each_version_is_that_of_the_loaded_library(monkeypatch):
    monkeypatch.setattr(software, "OPTIONAL", ())
    assert software_versions() == {
        "qsmcmb": qsmcmb.__version__,
        "Python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "nibabel": nibabel.__version__,
        "SimpleITK": SimpleITK.__version__,
        "pyfftw": pyfftw.__version__,
        "FFTW": ".".join(map(str, pyfftw.fftw_version_tuple)),
    }


def test_an_engine_that_does_not_run_is_not_told(monkeypatch):
    monkeypatch.setattr(fft, "pyfftw", None)
    assert not {"pyfftw", "FFTW"} & set(software_versions())


def test_an_fftw_without_a_name_is_not_told(monkeypatch):
    monkeypatch.setattr(pyfftw, "fftw_version", "")
    assert "FFTW" not in software_versions()
    assert software_versions()["pyfftw"] == pyfftw.__version__


def test_a_library_without_metadata_does_not_end_the_run(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(software.metadata, "version", missing)
    assert software_versions()["numpy"] == "unknown"


def test_an_optional_library_counts_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask of another version of the network is another mask."""
    known = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0.2" if name == "deepbet" else known(name))
    assert software_versions()["deepbet"] == "1.0.2"
