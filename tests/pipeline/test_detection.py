"""The detector within a run: a reader's points come first, and every candidate carries its row's verdict."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.visible_void import VisibleVoid
from qsmcmb.microbleeds.detection.examined import ExaminedPoint, Gate
from qsmcmb.microbleeds.fit.screening import Screening
from qsmcmb.microbleeds.measure import Targets
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.results.measurement import LesionMeasurement, ScreenedCandidate
from qsmcmb.model import Estimate, GreScan, Grid
from qsmcmb.pipeline.detection import DetectorMaps, detect_beside_readers, with_verdicts

GRID = Grid.isotropic((40, 32, 32), 1.0)


def two_balls() -> tuple[GreScan, DetectorMaps]:
    """Return a scan whose map has two dark balls, 12 mm apart, and no field."""
    x, y, z = np.indices(GRID.shape)
    chi, magnitude = np.zeros(GRID.shape, np.float32), np.ones((2, *GRID.shape), np.float32)
    for at in (12, 24):
        ball = (x - at) ** 2 + (y - 16) ** 2 + (z - 16) ** 2 < 2.2**2
        chi[ball], magnitude[1][ball] = 0.8, 0.2
    scan = GreScan(0 * magnitude, magnitude, te_s=(0.01, 0.02), b0_tesla=3.0, grid=GRID)
    maps = DetectorMaps(chi, 0 * chi, 0 * chi + 1, np.ones(GRID.shape, bool))
    return scan, maps


def test_a_candidate_that_a_reader_has_named_is_no_second_row() -> None:
    scan, maps = two_balls()
    readers = Targets.of_readers(GRID.to_world(np.array([[12.0, 16.0, 17.0]])))
    targets, examined = detect_beside_readers(scan, maps, readers)
    assert targets.n_reader_points == 1
    np.testing.assert_allclose(GRID.to_voxel(targets.points_mm[1]), [24, 16, 16], atol=0.1)
    named = [p for p in examined if p.gate == Gate.NAMED_BY_READER]
    assert [p.label for p in examined if p.label] == [2]
    assert named[0].found == pytest.approx(1.0, abs=0.1)


def measured(
    label: int, reason: Flag | None = None, screened: ScreenedCandidate | None = None
) -> LesionMeasurement:
    return LesionMeasurement(
        label=label, point_mm=(0.0, 0.0, 0.0), stated_kind=None, source="detector", fitted=None,
        reason=reason, screened=screened,
    )  # fmt: skip


def test_each_candidate_carries_the_verdict_of_its_row() -> None:
    def row(label: int, kind: str, certainty: str, value: float | None) -> Microbleed:
        total = None if value is None else Estimate(value, 1.0, "ppm mm3")
        where = (float(label), 0.0, 0.0)
        return Microbleed(label, where, kind, certainty, score=0.125, total_chi_ppm_mm3=total)

    nothing = np.zeros((1, 1, 1), bool)
    screening = Screening(
        field=Estimate(1.0, 1.0, "ppm mm3"), signal=Estimate(2.0, 1.0, "ppm mm3"), core_residual=1.0,
        line_to_dipole=0.0,
    )  # fmt: skip
    turned_away = ScreenedCandidate(screening, VisibleVoid(0.0, 0.0, nothing), nothing, None)
    cases = [
        (measured(1), row(1, "microbleed", "definite", 9.0), None, None),
        # What is seen clearly is called, though its total may be 0.
        (measured(8), row(8, "microbleed", "possible", 2.0), None, None),
        (measured(2), row(2, "microbleed", "rejected", 2.0), Gate.NOT_ABOVE_NOISE, 2.0),
        (measured(3), row(3, "vein", "rejected", 9.0), Gate.OTHER_KIND, 0.125),
        (measured(4, Flag.OUTSIDE_MASK), row(4, "other", "possible", None), Gate.NO_NUMBER, None),
        (measured(7, Flag.UNLIKELY, turned_away), row(7, "vein", "rejected", 2.0), Gate.UNLIKELY, 0.125),
        (measured(5, Flag.NO_DIPOLE, turned_away), row(5, "other", "rejected", 2.0), Gate.NO_DIPOLE, 2.0),
        (measured(6, Flag.NOT_COMPACT, turned_away), row(6, "other", "rejected", 2.0), Gate.NOT_COMPACT, 2.0),
    ]
    looked_at = [ExaminedPoint((0.0, 0.0, 0.0), label=m.label) for m, *_ in cases]
    other = ExaminedPoint((0.0, 0.0, 0.0), gate=Gate.TOO_LARGE, found=12.0, needed=11.0)
    *judged, untouched = with_verdicts([*looked_at, other], [m for m, *_ in cases], [r for _, r, *_ in cases])
    assert untouched == other
    for point, (_, lesion, gate, found) in zip(judged, cases, strict=True):
        assert point.gate == gate
        assert point.found == found
        assert point.position_mm == lesion.position_mm
        assert point.kind == lesion.kind
        assert ExaminedPoint.from_row(point.row()) == point
