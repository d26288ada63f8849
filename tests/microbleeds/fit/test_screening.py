"""Screening: what is no lesion is turned away before the whole fit, and no lesion is."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.fit.field_fit import NO_POINTS, best_kernel, detrend_field
from qsmcmb.microbleeds.fit.screening import Screening, TurnedAway, screen_candidate
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields, cut_patch
from qsmcmb.model import Estimate
from tests.scenes.geometry import Triple
from tests.scenes.small_scans import SHAPE, SNR, small_scan


def patch_at(
    point: Triple, lesions: list[tuple[float, Triple]], *, air: tuple[Triple, float] | None = None
) -> Patch:
    """Return the patch at a point (mm) of a small scan with balls; the mask leaves air out."""
    scan, field_hz = small_scan(lesions, air=air)
    mask = np.ones(SHAPE, bool)
    if air is not None:
        place, radius_mm = air
        offset = np.indices(SHAPE) - 16.0 - np.reshape(place, (3, 1, 1, 1))
        mask = (offset**2).sum(axis=0) > (radius_mm + 1.5) ** 2
    fields = ScanFields(field_hz=field_hz, offset_rad=np.zeros(SHAPE, np.float32), mask=mask)
    acquisition = Acquisition(te_s=scan.te_s, b0_tesla=scan.b0_tesla, noise_sd=1 / SNR)
    return cut_patch(scan, scan.grid.to_voxel(np.array(point)), fields, acquisition)


@pytest.mark.parametrize("total", [0.8, -4.0])
def test_a_lesion_stays(total: float) -> None:
    found = screen_candidate(patch_at((0.5, 0.0, 0.0), [(total, (0.3, -0.2, 0.1))]), NO_POINTS)
    assert found.turned_away is None
    assert found.field.value == pytest.approx(total, rel=0.35)
    assert found.signal.value == pytest.approx(total, rel=0.35)
    # A ball describes it, and no line of dipoles does better.
    assert found.core_residual < 1
    assert found.line_to_dipole < 1


def test_plain_tissue_is_turned_away() -> None:
    found = screen_candidate(patch_at((0.0, 0.0, 0.0), []), NO_POINTS)
    assert found.turned_away is TurnedAway.NO_DIPOLE
    assert found.total_chi_ppm_mm3.low < 0 < found.total_chi_ppm_mm3.high


def test_tissue_beside_air_is_turned_away() -> None:
    patch = patch_at((0.0, 0.0, 0.0), [], air=((0.0, 0.0, -9.0), 6.5))
    found = screen_candidate(patch, NO_POINTS)
    assert found.turned_away is not None
    assert found.total_chi_ppm_mm3.low < 0 < found.total_chi_ppm_mm3.high


def test_a_lesion_beside_air_stays() -> None:
    patch = patch_at((0.0, 0.0, 0.0), [(6.0, (0.3, -0.2, 0.1))], air=((0.0, 0.0, -10.0), 5.0))
    assert screen_candidate(patch, NO_POINTS).turned_away is None


def test_a_small_lesion_beside_a_large_one_stays() -> None:
    patch = patch_at((0.0, 0.0, 0.0), [(1.5, (0.3, -0.2, 0.1)), (20.0, (9.0, 2.0, 0.0))])
    found = screen_candidate(patch, np.array([[9.0, 2.0, 0.0]]))
    assert found.turned_away is None


def test_the_dipole_of_another_point_is_taken_off() -> None:
    patch = patch_at((0.0, 0.0, 0.0), [(1.5, (0.0, 0.0, 0.0)), (20.0, (6.0, 1.0, 0.0))])
    usable = patch.inside & ((patch.coordinates_mm**2).sum(axis=0) > 2.5**2)

    def strength(others_mm: np.ndarray) -> float:
        detrended = detrend_field(patch, patch.field_hz, usable, others_mm=others_mm)
        return best_kernel(
            detrended, point_dipole_field(detrended.xyz, np.array([0.0, 0.0, 1.0]))[None]
        ).strength

    assert strength(np.array([[6.0, 1.0, 0.0]])) == pytest.approx(1.5, rel=0.1)
    assert abs(strength(NO_POINTS) - 1.5) > 0.3


def screened(signal: tuple[float, float], field: tuple[float, float]) -> Screening:
    return Screening(
        field=Estimate(*field, "ppm mm3"),
        signal=Estimate(*signal, "ppm mm3"),
        core_residual=0.5,
        line_to_dipole=0.5,
    )


@pytest.mark.parametrize(
    ("signal", "field", "expected"),
    [
        ((3.1, 1.0), (0.0, 1.0), None),
        ((-3.1, 1.0), (0.0, 1.0), None),
        ((2.9, 1.0), (4.9, 1.0), TurnedAway.NO_DIPOLE),
        # A lesion that no ball describes: the dipole further out confirms it.
        ((2.9, 1.0), (5.1, 1.0), None),
        ((2.9, 1.0), (-5.1, 1.0), TurnedAway.NOT_COMPACT),
        ((2.9, 1.0), (20.0, 1.0), TurnedAway.NOT_COMPACT),
        ((0.0, 0.0), (0.0, 0.0), TurnedAway.NO_DIPOLE),
    ],
)
def test_thresholds_in_sds(
    signal: tuple[float, float], field: tuple[float, float], expected: TurnedAway | None
) -> None:
    assert screened(signal, field).turned_away is expected


def test_the_number_holds_the_difference_of_both_estimates() -> None:
    total = screened((2.0, 1.0), (-1.0, 0.5)).total_chi_ppm_mm3
    assert total.value == 2.0
    assert total.sd == pytest.approx(np.hypot(1.0, 3.0))
