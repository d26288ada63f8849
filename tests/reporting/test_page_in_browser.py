"""The page in a real browser: it opens from disk, draws, and shows the numbers of the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmcmb.io.results import list_results
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.reporting.subject_page import CHANGE_COLUMNS, write_subject_page
from tests.scenes.browser import OpenPage, browser, open_page
from tests.scenes.results import lesions_at, oblique_grid, write_results

READY = "!!window.qsmcmbViewer && window.qsmcmbViewer.ready"
EVIL = "1<img src=x onerror=alert(1)>"
GRID = oblique_grid()
VOXELS = np.array([[20.2, 25.1, 20.3], [12.0, 30.0, 18.0], [30.3, 20.4, 24.2], [25.0, 33.0, 14.0]])
POINTS_MM = GRID.to_world(VOXELS)
SHIFT_MM = np.array([1.5, -2.0, 3.0])
"""From the first session's coordinates to the second's."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of two sessions, the second one shifted, with their comparison."""
    folder = tmp_path_factory.mktemp("out")
    write_results(folder, "01", "1", lesions=lesions_at(POINTS_MM), grid=GRID)
    # In the second session the labels are in another order.
    write_results(folder, "01", "2", lesions=lesions_at(POINTS_MM[::-1] + SHIFT_MM), grid=GRID, seed=2)
    rows = [
        {"lesion": n, "status": "stable", "baseline_session": "ses-1", "followup_session": "ses-2",
         "x_mm": x, "y_mm": y, "z_mm": z, "baseline_ppm_mm3": 3.0, "baseline_sd_ppm_mm3": 0.1, "followup_ppm_mm3": 3.1,
         "followup_sd_ppm_mm3": 0.1, "change_ppm_mm3": 0.1, "mdc_ppm_mm3": 0.3, "flags": EVIL}
        for n, (x, y, z) in enumerate(POINTS_MM, start=1)
    ]  # fmt: skip
    table = folder / "sub-01" / "sub-01_desc-cmb_longitudinal.tsv"
    write_tsv(
        table, rows, [*CHANGE_COLUMNS, "x_mm", "y_mm", "z_mm", "baseline_sd_ppm_mm3", "followup_sd_ppm_mm3"]
    )
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT_MM
    transforms = {"ses-1 to ses-2": {"matrix": matrix.tolist(), "dice": 0.9}}
    write_json(
        table.with_suffix(".json"), {"Steps": {"longitudinal": {"method": "rigid", "transforms": transforms}}}
    )
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def opened(out: Path, chromium: Any) -> Iterator[OpenPage]:
    page = write_subject_page(out, "01", notes=[EVIL], failures={f"ses-{EVIL}": EVIL})
    assert page.stat().st_size < 15_000_000
    with open_page(chromium, page.as_uri()) as found:
        found.wait(READY)
        yield found


def crosshair(opened: OpenPage) -> tuple[np.ndarray, float]:
    """Return where the crosshair is, mm, and the value under it."""
    opened.wait(READY)
    location = opened.page.evaluate("window.qsmcmbViewer.location")
    return np.array(location["mm"]), float(location["value"])


def choose(opened: OpenPage, group: str, name: str) -> None:
    opened.page.locator(f"#viewer-{group} button", has_text=name).click()
    opened.wait(READY)


def test_nothing_is_blocked_loaded_or_wrong(opened: OpenPage) -> None:
    assert opened.errors == []
    assert opened.requests == []
    assert opened.page.evaluate("window.violations") == []


def test_the_viewer_draws_three_planes(opened: OpenPage) -> None:
    pixels = opened.page.evaluate(
        """(() => {
          const nv = window.qsmcmbViewer.nv; nv.drawScene();
          const gl = nv.gl, w = gl.drawingBufferWidth, h = gl.drawingBufferHeight, all = new Uint8Array(4 * w * h);
          gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, all);
          return {w, h, grey: Array.from(all.filter((v, i) => i % 4 === 1))};
        })()"""
    )
    grey = np.array(pixels["grey"]).reshape(pixels["h"], pixels["w"])
    assert len(np.unique(grey)) > 50
    # Each third of what is drawn holds a picture.
    drawn = np.flatnonzero(grey.max(axis=0) > 0)
    for part in np.array_split(np.arange(drawn[0], drawn[-1]), 3):
        assert grey[:, part].std() > 10


@pytest.mark.parametrize("number", range(len(POINTS_MM)))
def test_a_card_moves_the_crosshair_to_its_lesion(opened: OpenPage, number: int) -> None:
    opened.page.locator(f'button.show[data-session="ses-1"][data-label="{number + 1}"]').click()
    mm, value = crosshair(opened)
    assert np.linalg.norm(mm - POINTS_MM[number]) < 0.01
    assert value == pytest.approx(1.2345, abs=0.002)
    assert "ppm" in opened.page.locator("#viewer-readout").inner_text()


def test_the_value_under_the_crosshair_is_that_of_the_file(
    opened: OpenPage, out: Path, rng: np.random.Generator
) -> None:

    chi, grid = list_results(out, "01")[0].image("Chimap")
    choose(opened, "sessions", "ses-1")
    choose(opened, "images", "susceptibility")
    inside = np.argwhere(chi != 0)
    for voxel in inside[rng.integers(len(inside), size=25)]:
        at = [float(v) for v in grid.to_world(voxel)]
        opened.page.evaluate(
            "(mm) => { const nv = window.qsmcmbViewer.nv; nv.scene.crosshairPos = nv.mm2frac(mm, 0, true);"
            " nv.createOnLocationChange(); }",
            at,
        )
        mm, value = crosshair(opened)
        assert np.linalg.norm(mm - at) < 0.01
        # 2 ppb.
        assert value == pytest.approx(chi[tuple(voxel)], abs=0.002)


def test_the_crosshair_stays_on_a_lesion_when_the_session_changes(opened: OpenPage) -> None:
    opened.page.locator('button.show[data-session="ses-1"][data-label="2"]').click()
    crosshair(opened)
    choose(opened, "sessions", "ses-2")
    assert np.linalg.norm(crosshair(opened)[0] - (POINTS_MM[1] + SHIFT_MM)) < 0.01
    opened.page.locator('button.show[data-number="4"]').click()
    assert np.linalg.norm(crosshair(opened)[0] - POINTS_MM[3]) < 0.01


def test_each_image_and_window_is_shown_with_its_unit(opened: OpenPage) -> None:
    choose(opened, "sessions", "ses-1")
    for image, unit in (("local field", "Hz"), ("SWI", "a.u."), ("susceptibility", "ppm")):
        choose(opened, "images", image)
        assert unit in opened.page.locator("#viewer-high").inner_text()
        assert unit in opened.page.locator("#viewer-readout").inner_text()
    opened.page.locator("#viewer-window").select_option("2")
    opened.wait(READY)
    shown = opened.page.evaluate(
        "[window.qsmcmbViewer.nv.volumes[0].cal_min, window.qsmcmbViewer.nv.volumes[0].cal_max]"
    )
    assert shown == pytest.approx([-0.3, 0.3])
    opened.page.locator("#viewer-window").select_option("1")
    opened.wait(READY)


def test_words_of_the_data_stay_words(opened: OpenPage) -> None:
    text = opened.page.locator("body").inner_text()
    assert text.count(EVIL) >= 3
    assert opened.page.locator('img[src="x"]').count() == 0


def test_pictures_stay_where_the_browser_draws_no_volumes(out: Path, chromium: Any) -> None:
    page = write_subject_page(out, "01")
    with open_page(
        chromium, page.as_uri(), script="HTMLCanvasElement.prototype.getContext = () => null;"
    ) as found:
        found.wait("!document.getElementById('viewer-note').hidden")
        assert "does not run here" in found.page.locator("#viewer-note").inner_text()
        assert found.page.locator("#viewer").is_hidden()
        assert found.page.locator("details.still[open] img").first.is_visible()
        assert found.page.locator("button.show:visible").count() == 0
        assert found.errors == found.page.evaluate("window.violations") == []


def test_a_light_page_has_pictures_alone(out: Path, chromium: Any) -> None:
    page = write_subject_page(out, "01", detail="light")
    assert page.stat().st_size < 2_000_000
    with open_page(chromium, page.as_uri()) as found:
        assert found.page.evaluate("document.scripts.length") == 0
        assert found.page.locator(".card img").count() == 3 * len(POINTS_MM)
        assert found.errors == []
        assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_left_is_left_unless_the_reader_turns_the_viewer_over(opened: OpenPage) -> None:
    box, sides = opened.page.locator("#viewer-radiological"), opened.page.locator("#viewer-sides")
    turned = "window.qsmcmbViewer.nv.opts.isRadiologicalConvention"
    assert (opened.page.evaluate(turned), sides.inner_text()) == (
        False,
        "Left of the picture is left of the head.",
    )
    box.check()
    assert (opened.page.evaluate(turned), sides.inner_text()) == (
        True,
        "Left of the picture is right of the head.",
    )
    box.uncheck()
    assert not opened.page.evaluate(turned)


def test_the_viewer_hides_no_heading_and_no_more_than_a_third(opened: OpenPage) -> None:
    opened.page.set_viewport_size({"width": 1280, "height": 800})
    box, top = opened.page.evaluate(
        """(() => {
          document.querySelector("h2:last-of-type").scrollIntoView();
          const viewer = document.getElementById("viewer").getBoundingClientRect();
          return [viewer.height, document.querySelector("h2:last-of-type").getBoundingClientRect().top - viewer.bottom];
        })()"""
    )
    assert box < 800 / 3
    assert top >= 0
    assert opened.page.evaluate("document.getElementById('viewer').getBoundingClientRect().top") == 0
