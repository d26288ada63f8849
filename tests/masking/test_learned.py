"""The learned mask: what is made of the network's answer. The network itself is an optional package of 3 GB."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.packages import hidden
from qsmcmb.errors import InvalidInputError, MissingPackageError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

OBLIQUE = np.array([[0.1, 0.0, -1.4], [-1.5, 0.1, 0.0], [0.0, 1.6, 0.1]])
"""Voxel axes of a sagittal scan, mm: back, top, left."""


class FrontHalf:
    """A network that is handed its image in RAS+ and finds the bright front half."""

    def __init__(self, *, no_gpu: bool) -> None:
        assert no_gpu

    def run_model(self, volume: FloatArray) -> FloatArray:
        found = np.zeros(volume.shape, np.float32)
        middle = volume.shape[1] // 2
        found[:, middle:] = volume[:, middle:] > 0.5
        return found

    def postprocess(self, mask: BoolArray) -> BoolArray:
        assert mask.any(), "Not enough foreground"
        return mask


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in where the packages would be."""
    from importlib.machinery import ModuleSpec

    modules: dict[str, Any] = {
        "deepbet": SimpleNamespace(BrainExtraction=FrontHalf, __spec__=ModuleSpec("deepbet", None)),
        "torch": SimpleNamespace(set_num_threads=lambda n: None),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def ball() -> tuple[FloatArray, BoolArray, FloatArray, Grid]:
    """Return magnitude of a ball of 12 mm, the ball, the distance from the middle to the front, mm, and the grid."""
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE
    affine[:3, 3] = -OBLIQUE @ np.array([10.5, 11.5, 9.5])
    grid = Grid.from_affine((22, 24, 20), affine)
    xyz = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)), -1, 0)
    xyz = xyz.reshape(3, *grid.shape)
    inside = np.linalg.norm(xyz, axis=0) < 12
    return inside[None].astype(np.float32), inside, xyz[1], grid


@pytest.mark.usefixtures("network")
def test_the_network_sees_ras_and_its_answer_comes_back_turned() -> None:
    magnitude, inside, front, grid = ball()
    made = qc.mask_brain(
        magnitude, 0 * magnitude, grid, method="deepbet", options={"margin_mm": 0.0, "close_mm": 0.0}
    )
    assert made[inside & (front > 2)].all()
    assert not made[inside & (front < -2)].any()


@pytest.mark.usefixtures("network")
def test_tissue_beside_it_joins() -> None:
    magnitude, inside, front, grid = ball()
    made = qc.mask_brain(
        magnitude, 0 * magnitude, grid, method="deepbet", options={"margin_mm": 4.0, "close_mm": 0.0}
    )
    assert made[inside & (front > -2)].all()
    assert not made[inside & (front < -7)].any()
    assert not made[front > 15].any()


@pytest.mark.usefixtures("network")
def test_no_brain_is_an_error_with_a_fix() -> None:
    magnitude, _, _, grid = ball()
    with pytest.raises(InvalidInputError, match="MASK-EMPTY"):
        qc.mask_brain(0 * magnitude, 0 * magnitude, grid, method="deepbet")


def test_without_the_package_the_error_names_it() -> None:
    magnitude, _, _, grid = ball()
    with hidden("deepbet"), pytest.raises(MissingPackageError, match=r"deepbet"):
        qc.mask_brain(magnitude, 0 * magnitude, grid, method="deepbet")


@pytest.mark.shared
def test_a_real_head_is_found_where_the_default_takes_its_scalp_in(shared_data: Path) -> None:
    pytest.importorskip("deepbet", reason="deepbet, an optional package of 3 GB, is not installed")
    scan = shared_data / "philips-3t-fieldmap" / "Ref" / "2001_WIP_fcMRI_Field_Mapping_cl_e1"
    image, phase = nibabel.load(f"{scan}.nii.gz"), nibabel.load(f"{scan}_ph.nii.gz")
    grid = Grid.from_affine(image.shape, image.affine)
    magnitude, phase_rad = (i.get_fdata(dtype=np.float32)[None] for i in (image, phase))
    litres = {
        method: qc.mask_brain(magnitude, phase_rad, grid, method=method).sum() * grid.voxel_volume_mm3 / 1e6
        for method in ("deepbet", "combined")
    }
    assert 1.5 < litres["deepbet"] < 1.75
    assert litres["combined"] > 2.1
