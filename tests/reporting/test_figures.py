"""Figures show the numbers that they are given, at their places, on axes with units."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qsmcmb.microbleeds.results.source_planes import source_planes
from qsmcmb.model import Grid
from qsmcmb.reporting import explain_figures, explain_interval, explain_source, figures, validation_figures
from qsmcmb.reporting.figures import Panel, percentile_window, to_png

Draw = Callable[..., Any]
GRID = Grid((12, 10, 8), (1.0, 1.5, 2.0), (0.0, 0.0, 1.0), np.diag([1.0, 1.5, 2.0, 1.0]))


@pytest.fixture
def panels(rng: np.random.Generator) -> list[Panel]:
    volumes = rng.standard_normal((2, *GRID.shape))
    return [Panel("map (ppm)", volumes[0], GRID, (-0.15, 0.15)), Panel("SWI", volumes[1], GRID, (0.0, 3.0))]


def shown(axis: Any) -> np.ndarray:
    return np.asarray(axis.images[0].get_array())


def test_an_overview_shows_four_slices_of_each_panel(panels: list[Panel], drawn: Draw) -> None:
    figure = drawn(figures, "overview", panels, (5, 4, 3))
    assert len(figure.axes) == 8
    for number, panel in enumerate(panels):
        axial, upper, coronal, sagittal = figure.axes[4 * number : 4 * number + 4]
        np.testing.assert_array_equal(shown(axial), panel.data[:, :, 3].T)
        np.testing.assert_array_equal(shown(upper), panel.data[:, :, 4].T)
        np.testing.assert_array_equal(shown(coronal), panel.data[:, 4].T)
        np.testing.assert_array_equal(shown(sagittal), panel.data[5].T)
        assert axial.get_ylabel() == panel.title
        for axis, aspect in ((axial, 1.5), (coronal, 2.0), (sagittal, 2.0 / 1.5)):
            assert axis.get_aspect() == pytest.approx(aspect)
            assert axis.images[0].get_clim() == panel.window
            assert axis.images[0].origin == "lower"


def test_an_overview_of_a_point_outside_shows_the_last_slices(panels: list[Panel], drawn: Draw) -> None:
    figure = drawn(figures, "overview", panels[:1], (50, 50, 50))
    data = panels[0].data
    for axis, image in zip(figure.axes, (data[:, :, -1], data[:, :, -1], data[:, -1], data[-1]), strict=True):
        np.testing.assert_array_equal(shown(axis), image.T)


def test_a_window_ends_at_a_percentile_of_what_is_positive() -> None:
    data = np.concatenate([np.zeros(500), -np.ones(500), np.arange(1.0, 201.0)])
    assert percentile_window(data) == (0.0, pytest.approx(np.percentile(np.arange(1.0, 201.0), 99.5)))
    assert percentile_window(np.zeros(5)) == (0.0, 1.0)


def test_a_picture_is_the_same_bytes_each_time(panels: list[Panel]) -> None:
    one, two = (figures.overview(panels, (5, 4, 3)) for _ in range(2))
    assert one == two
    for word in (b"Software", b"tIME", b"date"):
        assert word not in base64.b64decode(one)[:4000]


ROWS = [
    {"truth_ppm_mm3": t, **{f"{s}_ppm_mm3": t * f for s, f in (("3T", 1.05), ("7T", 0.9))},
     **{f"{s}_low_ppm_mm3": t * f - 0.3 for s, f in (("3T", 1.05), ("7T", 0.9))},
     **{f"{s}_high_ppm_mm3": t * f + 0.5 for s, f in (("3T", 1.05), ("7T", 0.9))},
     "3T_volume_mm3": 10 * abs(t), "7T_volume_mm3": 20 * abs(t)}
    for t in (2.0, 8.0, -5.0)
]  # fmt: skip


def test_field_strengths_are_compared_in_ppm_mm3_and_mm3(drawn: Draw) -> None:
    figure = drawn(figures, "field_strength_plot", ROWS, ["3T", "7T"])
    left, right = figure.axes
    assert left.get_xlabel() == right.get_xlabel() == "true total susceptibility, absolute (ppm mm³)"
    assert left.get_ylabel().endswith("(ppm mm³)")
    assert right.get_ylabel().endswith("(mm³)")
    assert all(a.get_xscale() == a.get_yscale() == "log" for a in (left, right))
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["3T", "7T"]
    points, _, (bars,) = left.containers[0]
    np.testing.assert_allclose(points.get_xdata(), [2.0, 8.0, 5.0])
    np.testing.assert_allclose(points.get_ydata(), [2.1, 8.4, 5.25])
    ends = [np.sort(s[:, 1]) for s in bars.get_segments()]
    # The interval of a calcification lies the other way round once its sign is off.
    np.testing.assert_allclose(ends, [[1.8, 2.6], [8.1, 8.9], [4.75, 5.55]])
    np.testing.assert_allclose(right.lines[1].get_ydata(), [40.0, 160.0, 100.0])


def validation_rows() -> list[dict[str, Any]]:
    return [
        {"session": s, "truth_ppm_mm3": t, "estimate_ppm_mm3": e, "low_ppm_mm3": e - 0.2, "high_ppm_mm3": e + 0.4}
        for s, t, e in (("3T", 4.0, 4.4), ("3T", -10.0, -9.0), ("7T", 20.0, None), ("7T", 2.0, -0.1))
        if e is not None
    ]  # fmt: skip


def test_estimates_stand_against_truth_and_errors_in_percent(drawn: Draw) -> None:
    rows = [*validation_rows(), {"session": "7T", "truth_ppm_mm3": 20.0, "estimate_ppm_mm3": None}]
    figure = drawn(validation_figures, "truth_plot", rows)
    left, right = figure.axes
    assert left.get_ylabel() == "estimate, 95 % interval (ppm mm³)"
    assert right.get_ylabel() == "error (%)"
    assert left.get_xlabel() == right.get_xlabel() == "true total susceptibility, absolute (ppm mm³)"
    points, _, (bars,) = left.containers[0]
    np.testing.assert_allclose(points.get_xdata(), [4.0, 10.0])
    np.testing.assert_allclose(points.get_ydata(), [4.4, 9.0])
    np.testing.assert_allclose([np.sort(s[:, 1]) for s in bars.get_segments()], [[4.2, 4.8], [8.6, 9.2]])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [10.0, -10.0])
    # An estimate of the wrong sign has no place on a logarithmic axis, but an error; a missing one has neither.
    assert len(left.containers[1][0].get_xdata()) == 0
    np.testing.assert_allclose(right.lines[1].get_ydata(), [-105.0, np.nan])
    assert right.get_ylim()[0] < -105


def test_a_plot_of_no_lesions_is_drawn(drawn: Draw) -> None:
    left, right = drawn(validation_figures, "truth_plot", []).axes
    assert left.get_legend() is None
    assert right.get_ylim() == (-10, 10)


def test_conditions_are_relative_to_their_experiments_median(drawn: Draw) -> None:
    rows = [
        {"condition": c, "t2s_mm3": v, "qsm_mean_ppm": m, "total_over_truth": t}
        for c, v, m, t in (("te: 10", 10.0, 0.4, 1.01), ("te: 20", 20.0, 0.2, 0.99), ("te: 40", 40.0, 0.1, 1.0),
                           ("b0: 3", 5.0, None, 1.02))
    ]  # fmt: skip
    axis = drawn(validation_figures, "study_plot", rows).axes[0]
    volume, mean, total = axis.lines[:3]
    np.testing.assert_allclose(volume.get_xdata(), [0.5, 1.0, 2.0, 1.0])
    np.testing.assert_allclose(mean.get_xdata(), [2.0, 1.0, 0.5, np.nan])
    np.testing.assert_allclose(total.get_xdata(), [1.01, 0.99, 1.0, 1.02])
    assert [t.get_text() for t in axis.get_yticklabels()] == [str(r["condition"]) for r in rows]
    assert axis.get_xlim()[0] == 0
    assert axis.yaxis_inverted()


def test_slices_show_data_model_and_residual_of_each_echo(drawn: Draw, rng: np.random.Generator) -> None:
    shape = (2, 5, 4)
    data, model = (
        rng.uniform(0.5, 1.0, shape) * np.exp(1j * rng.uniform(-3, 3, shape)) for _ in range(2)
    )  # fmt: skip
    weight = rng.random(shape)
    slices = explain_figures.Slices(data, model, weight, (-2.5, 2.5, -2.0, 2.0))
    figure = drawn(explain_figures, "draw_slices", slices, [0.006, 0.0135])
    assert len(figure.axes) == 14
    for echo in range(2):
        row = figure.axes[7 * echo : 7 * echo + 7]
        images = (
            np.abs(data[echo]), np.abs(model[echo]), np.abs(data[echo]) - np.abs(model[echo]),
            np.angle(data[echo]), np.angle(model[echo]), np.angle(data[echo] * model[echo].conj()), weight[echo],
        )  # fmt: skip
        for axis, image in zip(row, images, strict=True):
            np.testing.assert_allclose(shown(axis), image.T)
            np.testing.assert_allclose(axis.images[0].get_extent(), (-2.5, 2.5, -2.0, 2.0))
        # Data and model share a window, residuals are centred.
        assert row[0].images[0].get_clim() == row[1].images[0].get_clim() == (0, np.abs(data).max())
        assert row[3].images[0].get_clim() == (-np.pi, np.pi)
        assert all(sum(row[i].images[0].get_clim()) == 0 for i in (2, 5))
    assert [figure.axes[0].get_ylabel(), figure.axes[7].get_ylabel()] == ["TE 6 ms", "TE 13.5 ms"]


def test_estimators_are_drawn_with_their_intervals_in_ppm_mm3(drawn: Draw) -> None:
    interval = {"value": 6.0, "low": 5.5, "high": 7.0}
    record = {
        "total_chi": interval,
        "map_sum": {
            "radii_mm": [2.0, 3.0], "growth": [4.0, None], "response_growth": [3.5, 5.0], "radius_mm": 3.0,
            "corrected": {"value": 5.0, "low": None, "high": None},
        },
        "per_echo": [{"te_s": 0.01, "value": 6.2, "sd": 0.5}, {"te_s": 0.02, "value": 5.9, "sd": None}],
        "signal_loss": {"te_s": [0.01, 0.02], "per_echo": [5.0, 7.0], "value": 6.5, "low": 6.0, "high": 7.5},
    }  # fmt: skip
    growth, echoes, estimators = drawn(explain_figures, "draw_estimators", record).axes
    assert [a.get_ylabel() for a in (growth, echoes, estimators)] == ["ppm mm³"] * 3
    assert growth.get_xlabel() == "R (mm)"
    assert echoes.get_xlabel() == "TE (ms)"
    np.testing.assert_allclose(growth.lines[0].get_ydata(), [4.0, np.nan])
    np.testing.assert_allclose(growth.lines[1].get_ydata(), [3.5, 5.0])
    points, _, (bars,) = echoes.containers[0]
    np.testing.assert_allclose(np.asarray(points.get_xdata(), float), [10.0, 20.0])
    np.testing.assert_allclose([s[:, 1] for s in bars.get_segments()], [[6.2 - 0.98, 6.2 + 0.98], [5.9, 5.9]])
    # The map sum has no interval: fit and signal loss are drawn, at the first and third place.
    assert len(estimators.containers) == 2
    for place, (container, ends) in zip(
        (0, 2), zip(estimators.containers, ([5.5, 7.0], [6.0, 7.5]), strict=True), strict=True
    ):
        assert container[0].get_xdata() == [place]
        np.testing.assert_allclose(container[2][0].get_segments()[0][:, 1], ends)
    assert [t.get_text() for t in estimators.get_xticklabels()] == ["fit", "map\nsum", "signal\nloss"]


def test_an_explanation_without_a_map_says_so(drawn: Draw) -> None:
    growth, echoes, estimators = drawn(explain_figures, "draw_estimators", {"per_echo": []}).axes
    assert [t.get_text() for t in growth.texts] == ["no map"]
    assert not estimators.containers
    assert echoes.get_ylabel() == "ppm mm³"


def test_a_figure_becomes_png_of_its_own_size() -> None:
    from matplotlib.figure import Figure

    content = base64.b64decode(to_png(Figure(figsize=(2.0, 1.5), dpi=80)))
    assert [int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")] == [160, 120]


def test_planes_show_the_source_with_a_scale(drawn: Draw) -> None:
    rows = np.array([[4.0, 0.4, 0.0, 0.0, 1.0], [-1.0, -0.6, 0.0, 0.0, 0.7]])
    planes = source_planes(rows, (0.4, 0.0, 0.0), (0.9, 1.0, 2.0))
    figure = drawn(explain_source, "draw_planes", planes)
    for axis, plane in zip(figure.axes[:3], planes, strict=True):
        np.testing.assert_allclose(shown(axis), plane.chi_ppm.T)
        np.testing.assert_allclose(axis.images[0].get_extent(), plane.extent_mm)
        # 0 is white: what is less than the tissue has the other colour.
        low, high = axis.images[0].get_clim()
        assert high == -low == max(float(np.abs(p.chi_ppm).max()) for p in planes)
        centre, point, bar = axis.lines
        assert (centre.get_xdata()[0], centre.get_ydata()[0]) == plane.centre_mm
        assert (point.get_xdata()[0], point.get_ydata()[0]) == (0, 0)
        assert np.ptp(bar.get_xdata()) == pytest.approx(1.0)
        assert "1 mm" in [t.get_text() for t in axis.texts]
        (voxel,) = axis.patches
        assert (voxel.get_width(), voxel.get_height()) == plane.voxel_mm
    assert figure.axes[3].get_ylabel() == "susceptibility (ppm)"


def test_models_have_their_cost_above_the_best_of_their_comparison() -> None:
    models: list[Any] = [
        {"comparison": c, "shape": s, "n_bodies": n, "total_chi_ppm_mm3": 5.0, "cost": cost, "core_residual": 0.5,
         "is_chosen": taken}
        for c, s, n, cost, taken in (("shape", "ball", 1, 40.0, False), ("shape", "pair", 2, 25.5, True),
                                     ("free source", "free", 1, 900.0, False), ("free source", "free", 4, None, True))
    ]  # fmt: skip
    rows = explain_source.model_rows(models)
    assert [row[1] for row in rows] == ["ball", "pair", "free, 1 ball", "free, 4 balls"]
    assert [row[3] for row in rows] == ["14.5", "0.0", "0.0", "n/a"]
    assert [row[5] for row in rows] == ["", "yes", "", "yes"]


def test_moments_in_words_say_both_signs_and_what_is_too_near() -> None:
    moments: Any = {
        "dipole": 5.0, "absolute": 11.0, "principal_lengths_mm": [4.0, 2.5, 2.0], "elongation": 2.0,
        "long_axis": [0.0, 1.0, 0.0],
        "remainder": [{"distance_mm": 3.0, "fraction": None}, {"distance_mm": 5.0, "fraction": 0.123}],
    }  # fmt: skip
    dipole, lengths, field = explain_source.moments_words(moments)
    assert "both signs; their sizes add to 11 ppm mm³" in dipole
    assert "elongation 2, along (0.00, 1.00, 0.00)" in lengths
    assert "12.3 % at 5 mm" in field
    assert "3 mm" not in field
    moments["remainder"] = moments["remainder"][:1]
    assert "no dipole's" in explain_source.moments_words(moments)[2]
    moments.update(absolute=5.0, elongation=1.0, remainder=[{"distance_mm": 5.0, "fraction": 1e-8}])
    _, lengths, field = explain_source.moments_words(moments)
    assert lengths.endswith("elongation 1.")
    assert "the dipole alone" in field
    assert "signs" not in explain_source.moments_words(moments)[0]


def test_bars_of_the_sd_add_up(drawn: Draw) -> None:
    sds = {"clutter": 0.4, "sandwich": 0.3, "centre": 0.01, "decay": 0.0}
    parts: Any = [{"part": name, "sd": sd} for name, sd in sds.items()]
    axis = drawn(explain_interval, "draw_interval", parts).axes[0]
    *drawn_parts, others, total = [bar.get_width() for bar in axis.patches]
    assert drawn_parts == [0.4, 0.3]
    assert others == pytest.approx(0.01)
    assert total == pytest.approx(np.sqrt(sum(v**2 for v in [*drawn_parts, others])))
    labels = [t.get_text() for t in axis.get_yticklabels()]
    assert labels[:2] == [explain_interval.PART_WORDS[n] for n in ("clutter", "sandwich")]
    assert axis.get_xlabel() == "SD (ppm mm³)"
