"""Published results: known tables give known figures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qsmcmb.validation.acceptance_criteria import ResultRow
from qsmcmb.validation.literature import literature_claims, liu_claims, naji_claims, wang_claims

RowMaker = Callable[..., ResultRow]


def test_published_results_read_from_known_tables(lesion: RowMaker) -> None:
    shown = {"t2s_mm3": 10.0, "swi_mm3": 12.0, "r2s_mm3": 8.0, "qsm_mm3": 6.0, "qsm_mean_ppm": 0.4}
    grown = {"t2s_mm3": 20.0, "swi_mm3": 22.0, "r2s_mm3": 12.0, "qsm_mm3": 8.0, "qsm_mean_ppm": 0.3}
    sizes = (3.0, 6.0, 12.0, 30.0)
    rows = [lesion("TE20", n, m, m, **shown) for n, m in enumerate(sizes)]
    rows += [lesion("TE40", n, m, 1.01 * m, **grown) for n, m in enumerate(sizes)]
    assert all(c.passed for c in liu_claims(rows))
    assert liu_claims(rows)[0].here == pytest.approx(2.0)
    rows += [lesion("TE10", n, m, 0.99 * m, **shown) for n, m in enumerate(sizes)]
    size, mean, slope = naji_claims(rows)
    assert size.here == pytest.approx(0.75)
    assert mean.here == pytest.approx(4 / 3)
    assert slope.here == pytest.approx(0.99 / 1.01)


def test_a_haematomas_growth_with_echo_time_is_in_litres_a_second(lesion: RowMaker) -> None:
    te_s = {"TE10": 0.01, "TE20": 0.02, "TE40": 0.04}
    rows = [
        lesion(s, n, 3000.0, 0.0, kind="haematoma", te_max_s=te, t2s_mm3=4000 + 4e5 * te, swi_mm3=5000 + 5e5 * te,
               r2s_mm3=4000 + 3e5 * te, qsm_mm3=3600 + 1e4 * te * n)
        for n in (0, 1, 2) for s, te in te_s.items()
    ]  # fmt: skip
    claims = wang_claims(rows)
    assert [c.here for c in claims] == pytest.approx([0.4, 0.5, 0.75, 0.025])
    assert all(c.passed for c in claims)
    shrinking = [{**r, "t2s_mm3": 4000 - 1e5 * r["te_max_s"]} for r in rows]
    assert not wang_claims(shrinking)[0].passed


def test_without_tables_nothing_is_claimed() -> None:
    assert literature_claims({}) == []
