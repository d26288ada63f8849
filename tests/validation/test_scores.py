"""Scores against values computed by hand or by their plain definitions, and against the bench's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.validation import scores
from qsmcmb.validation.lesion_scores import moment_ratios

BENCH = Path(__file__).resolve().parents[2].parent / "shared" / "bench" / "score.py"


@pytest.fixture
def volumes(rng):
    truth = rng.standard_normal((22, 20, 18))
    result = 0.8 * truth + 0.3 * rng.standard_normal(truth.shape) + 0.4
    mask = np.zeros(truth.shape, bool)
    mask[2:-2, 2:-2, 2:-2] = True
    return result, truth, mask


def test_nrmse_by_hand():
    truth = np.array([[[-1.0, 0.0, 1.0, 99.0]]])
    mask = truth < 90
    # Without its mean the result is (-1, -1, 2): the error (0, -1, 1), its norm that of the truth.
    result = np.array([[[1.0, 1.0, 4.0, 0.0]]])
    assert scores.nrmse(result, truth, mask) == pytest.approx(100)
    # Slope 3 / 2: (-2/3, -2/3, 4/3) against (-1, 0, 1) is (1/3, -2/3, 1/3), norm sqrt(6)/3 over sqrt 2.
    assert scores.nrmse_detrended(result, truth, mask) == pytest.approx(100 * np.sqrt(6) / 3 / np.sqrt(2))


def test_hfen_is_the_error_of_detail(volumes):
    _, truth, mask = volumes
    assert scores.hfen(truth, truth, mask) == 0
    assert scores.hfen(0.9 * truth, truth, mask) == pytest.approx(10)
    # Two errors of one norm: a wide bump costs less than a narrow one.
    r2 = sum((i - n / 2) ** 2 for i, n in zip(np.indices(truth.shape), truth.shape, strict=True))
    wide, narrow = (np.exp(-r2 / (2 * sd**2)) for sd in (3.0, 1.5))
    wide, narrow = (5 * e / np.linalg.norm(e[mask]) for e in (wide, narrow))
    assert scores.hfen(truth + wide, truth, mask) < scores.hfen(truth + narrow, truth, mask)


def test_xsim_is_its_definition(volumes):
    """The window written out as a sum over 7 x 7 x 7 neighbours, 0 outside the mask."""
    result, truth, _ = volumes
    mask = np.zeros(truth.shape, bool)
    mask[8:14, 7:12, 6:12] = True
    x, t = (np.pad(np.where(mask, v - v[mask].mean(), 0), 3) for v in (result, truth))
    line = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5**2))
    window = line[:, None, None] * line[:, None] * line
    window /= window.sum()
    values = []
    for i, j, k in np.argwhere(mask):
        bx, bt = (v[i : i + 7, j : j + 7, k : k + 7] for v in (x, t))
        mx, mt = (window * bx).sum(), (window * bt).sum()
        vx, vt = (window * bx**2).sum() - mx**2, (window * bt**2).sum() - mt**2
        c = (window * bx * bt).sum() - mx * mt
        values.append((2 * mx * mt + 1e-4) / (mx**2 + mt**2 + 1e-4) * (2 * c + 1e-6) / (vx + vt + 1e-6))
    assert scores.xsim(result, truth, mask) == pytest.approx(np.mean(values), rel=1e-6)
    assert scores.xsim(truth + 3, truth, mask) == pytest.approx(1)


def test_scores_ignore_what_lies_outside(volumes):
    result, truth, mask = volumes
    spoiled = np.where(mask, result, 1e3)
    for score in (scores.nrmse, scores.nrmse_detrended, scores.hfen, scores.xsim):
        assert score(spoiled, truth, mask) == pytest.approx(score(result, truth, mask))


def test_a_region_outside_the_mask_gives_no_number(volumes):
    result, truth, mask = volumes
    assert np.isnan(scores.region_error(result, truth, mask, np.zeros(mask.shape, int)))


def test_agreement_with_the_bench(volumes):
    if not BENCH.is_file():
        pytest.skip(f"bench scores not found at {BENCH}: they are not compared")
    spec = importlib.util.spec_from_file_location("bench_score", BENCH)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    result, truth, mask = volumes
    assert scores.nrmse(result, truth, mask) == pytest.approx(bench.nrmse(result, truth, mask))
    labels = np.zeros((48, 40, 40), int)
    for i in range(12):
        labels[4 + 13 * (i % 4), 4 + 15 * (i // 4 % 3), 4 + 7 * (i % 5)] = i + 1
    chi = np.where(labels > 0, 2.0, 0) + 0.01 * np.random.default_rng(3).standard_normal(labels.shape)
    full = np.ones(labels.shape, bool)
    ours = np.median(moment_ratios(0.9 * chi, chi, full, labels))
    assert ours == pytest.approx(bench.moment_ratio(0.9 * chi, chi, full, labels))
    turns = np.where(mask & (truth > 1), 2 * np.pi, 0)
    assert scores.wrong_wraps(truth + turns, truth, mask) == pytest.approx(
        bench.wrong_wraps(truth + turns, truth, mask)
    )


@pytest.mark.parametrize("score", [scores.nrmse, scores.hfen, scores.xsim, scores.wrong_wraps])
def test_bad_input_is_refused(score):
    one = np.ones((4, 4, 4))
    with pytest.raises(InvalidInputError, match=r"mask.sum\(\) = 0; expected at least one voxel"):
        score(one, one, np.zeros((4, 4, 4), bool))
    with pytest.raises(InvalidInputError, match=r"truth.shape = \(4, 4, 5\); expected result.shape"):
        score(one, np.ones((4, 4, 5)), np.ones((4, 4, 4), bool))
    with pytest.raises(InvalidInputError, match="truth = a constant"):
        scores.nrmse(one, one, one > 0)
