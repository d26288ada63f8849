"""The versions that a provenance holds are those of what runs."""

import platform
from importlib import metadata

import nibabel
import numba
import numpy as np
import pyfftw
import scipy
import SimpleITK

import qsmcmb
from qsmcmb.core import fft, software
from qsmcmb.core.software import software_versions


def test_each_version_is_that_of_the_loaded_library():
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
