"""Conventional imaging: the images of fitted sources against phantoms of other code, and what a reader counts."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.microbleeds.conventional.images import SourceModel, blooming_mm3, form_signal, slice_axis
from qsmcmb.microbleeds.conventional.protocols import (
    DEFAULT_PROTOCOLS,
    ConventionalProtocol,
    read_protocols,
)
from qsmcmb.microbleeds.conventional.visibility import ReadingRule, look_at_source
from qsmcmb.microbleeds.signal.source_shapes import BALL
from qsmcmb.phantoms.build import build_phantom
from qsmcmb.phantoms.recipe import LesionRecipe, Protocol, Recipe
from qsmcmb.pipeline.config import make_config
from qsmcmb.typing import Triple

RULE = ReadingRule(dark_ratio=0.7, min_diameter_mm=2.0, min_contrast_to_noise=5.0)
RADIUS_MM = 0.9
THICK, MIDDLE, SWI, PROJECTION = read_protocols(DEFAULT_PROTOCOLS)


def source(total: float, *, radius_mm: float = RADIUS_MM, b0_dir: Triple = (0.0, 0.0, 1.0)) -> SourceModel:
    rows = np.array([[total, 0.0, 0.0, 0.0, radius_mm]])
    return SourceModel(rows, BALL, total, 35.0, b0_dir)


def scanned(protocol: ConventionalProtocol, total: float, offset_mm: float) -> np.ndarray:
    """Return magnitude around a ball over that without it, as the phantoms' scanner takes it."""
    size = (protocol.in_plane_mm, protocol.in_plane_mm, protocol.slice_mm)
    session = Protocol(
        label="c",
        b0_tesla=protocol.b0_tesla,
        te_s=(protocol.te_s,),
        snr=1e5,
        voxel_mm=size,
        two_d=protocol.two_d,
    )
    boxes = []
    for strength, decay_hz in ((total, 35.0 * protocol.b0_tesla), (1e-6, 0.0)):
        given = {
            "centre_mm": (0.0, 0.0, -offset_mm), "radius_mm": RADIUS_MM, "signal": 1.0,
            "dchi_ppm": strength / (4 / 3 * np.pi * RADIUS_MM**3), "decay_hz": decay_hz,
        }  # fmt: skip
        recipe = Recipe(
            name="ball", title="ball", kind="spheres", seed=1, subject="ball", voxel_mm=1.0, fov_mm=(72.0, 72.0, 80.0),
            lesions=LesionRecipe(distribution="given", given=(given,)), sessions=(session,),  # type: ignore[arg-type]
        )  # fmt: skip
        scan = build_phantom(recipe)[0].scan
        i, j, k = np.rint(scan.grid.to_voxel(np.zeros((1, 3)))[0]).astype(int)
        boxes.append(scan.magnitude[0, i - 6 : i + 7, j - 6 : j + 7, k - 1 : k + 2])
    return np.asarray(boxes[0] / boxes[1])


@pytest.mark.parametrize("protocol", [THICK, MIDDLE], ids=lambda p: p.name)
@pytest.mark.parametrize(("total", "offset_mm"), [(2.0, 0.0), (8.0, 1.3)])
def test_images_are_those_of_the_phantoms(
    protocol: ConventionalProtocol, total: float, offset_mm: float
) -> None:
    """The phantom forms the signal on other points, and takes it through its own scanner."""
    signal, grid = form_signal(source(total), protocol, offset_mm)
    i, j, k = (n // 2 for n in grid.shape)
    own = np.abs(signal)[i - 12 : i + 13 : 2, j - 12 : j + 13 : 2, k - 1 : k + 2]
    other = scanned(protocol, total, offset_mm)
    assert np.sqrt(np.mean((own - other) ** 2)) < 0.008
    assert np.abs(own - other).max() < 0.05


def test_the_signal_lost_is_that_of_static_dephasing() -> None:
    """V = 0.1078 B0 TE |M|, the void's own size aside: 3 % once the phase at the surface is large."""
    fine = replace(SWI, in_plane_mm=0.5, slice_mm=0.5, snr=100.0)
    total = 4.0
    signal, grid = form_signal(source(total, radius_mm=0.6), fine, 0.0)
    lost = float((1 - signal.real).sum()) * grid.voxel_volume_mm3
    expected = blooming_mm3(total, b0_tesla=fine.b0_tesla, te_s=fine.te_s)
    assert expected == pytest.approx(0.1078 * 3.0 * 20.0 * total, rel=1e-3)
    assert lost == pytest.approx(expected, rel=0.05)


def test_blooming_grows_with_field_strength_and_echo_time() -> None:
    one = blooming_mm3(2.0, b0_tesla=1.5, te_s=0.02)
    assert blooming_mm3(-2.0, b0_tesla=3.0, te_s=0.02) == pytest.approx(2 * one)
    assert blooming_mm3(2.0, b0_tesla=1.5, te_s=0.04) == pytest.approx(2 * one)


def test_slices_lie_across_b0_whatever_the_axes_are() -> None:
    turned = source(8.0, b0_dir=(1.0, 0.0, 0.0))
    assert slice_axis(turned) == 0
    signal, grid = form_signal(turned, THICK, 0.6)
    assert grid.voxel_size_mm == (5.0, 0.5, 0.5)
    straight, _ = form_signal(source(8.0), THICK, 0.6)
    np.testing.assert_allclose(np.abs(signal), np.moveaxis(np.abs(straight), 2, 0), atol=2e-3)
    assert look_at_source(turned, THICK, RULE) == pytest.approx(
        look_at_source(source(8.0), THICK, RULE), rel=0.02
    )


def test_what_is_seen_grows_with_the_lesion_and_thin_slices_show_more() -> None:
    for protocol in (THICK, MIDDLE, SWI, PROJECTION):
        seen = [look_at_source(source(m), protocol, RULE) for m in (0.2, 1.0, 3.0, 9.0)]
        fractions, voids = [s.visible_fraction for s in seen], [s.void_mm3 for s in seen]
        assert fractions == sorted(fractions)
        assert voids == sorted(voids)
        assert fractions[0] == 0
        assert fractions[-1] == 1
    fractions = [look_at_source(source(2.0), p, RULE).visible_fraction for p in (THICK, MIDDLE, SWI)]
    assert fractions == sorted(fractions)
    assert fractions[0] < fractions[-1]


def test_noise_hides_what_a_quiet_scan_shows() -> None:
    lesion = source(3.0)
    quiet, loud = look_at_source(lesion, SWI, RULE), look_at_source(lesion, replace(SWI, snr=2.0), RULE)
    assert quiet.visible_fraction == 1
    assert loud.visible_fraction == 0
    assert loud.diameter_mm is None
    assert loud.contrast_to_noise == pytest.approx(quiet.contrast_to_noise / 20, rel=1e-6)


def test_a_gap_hides_lesions() -> None:
    lesion = source(2.0)
    gap = replace(MIDDLE, slice_gap_mm=2.0)
    assert (
        look_at_source(lesion, gap, RULE).contrast_to_noise
        < look_at_source(lesion, MIDDLE, RULE).contrast_to_noise
    )


def test_published_ratios_of_counts_are_of_the_right_size() -> None:
    """Thick gradient echo found 0.33 of what thin SWI did (Nandigam 2009), 1.5 T 0.77 of 3 T (Stehling 2008)."""
    rng = np.random.default_rng(72020)
    totals = np.exp(np.log(2.0) + 1.08 * rng.standard_normal(60))
    thin = replace(SWI, b0_tesla=1.5, te_s=0.04, slice_mm=1.5)
    middle = replace(THICK, b0_tesla=3.0, te_s=0.016)

    def count(protocol: ConventionalProtocol) -> float:
        sources = [source(m, radius_mm=(3 * m / (4 * np.pi * 1.3)) ** (1 / 3)) for m in totals]
        return sum(look_at_source(s, protocol, RULE).visible_fraction for s in sources)

    thick = count(THICK)
    assert 0.2 < thick / count(thin) < 0.5
    assert 0.5 < thick / count(middle) < 0.95


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sequence": "tse"}, "sequence = 'tse'"),
        ({"te_s": 20.0}, "te_s = 20.0"),
        ({"slice_gap_mm": 1.0, "two_d": False}, "two_d = false"),
        ({"thickness": 3.0}, "no key 'thickness'"),
        ({"b0_tesla": "3"}, "b0_tesla = '3'"),
    ],
)
def test_faulty_protocols_are_refused_before_a_scan_is_computed(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_config({"burden": {"protocols": [{**asdict(THICK), **change}]}})


def test_other_faults_of_the_table_are_refused_too() -> None:
    missing = {k: v for k, v in asdict(THICK).items() if k != "snr"}
    with pytest.raises(ConfigError, match="snr"):
        make_config({"burden": {"protocols": [missing]}})
    with pytest.raises(ConfigError, match="each name once"):
        make_config({"burden": {"protocols": [asdict(THICK), asdict(THICK)]}})
    with pytest.raises(ConfigError, match="one of: ignored, by-depth"):
        make_config({"burden": {"cerebellum": "lobar"}})
    with pytest.raises(InvalidInputError, match="dark_ratio"):
        make_config({"burden": {"dark_ratio": 2.0}})


def test_the_printed_configuration_is_read_back() -> None:
    import tomllib

    printed = tomllib.loads(make_config().to_toml())
    assert printed["burden"]["protocols"] == [dict(p) for p in DEFAULT_PROTOCOLS]
    assert make_config(printed).bound("burden")["protocols"] == printed["burden"]["protocols"]
