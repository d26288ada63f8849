"""Monomials of three coordinates: their number, their order, and the fit of a polynomial by them."""

import numpy as np
import pytest

from qsmcmb.core.polynomials import monomials, polynomials


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_every_monomial_up_to_the_order_is_there_once(order: int) -> None:
    found = monomials(order)
    wanted = {powers for powers in np.ndindex(*[order + 1] * 3) if sum(powers) <= order}
    assert len(found) == len(wanted)
    assert set(found) == wanted
    assert [sum(p) for p in found] == sorted(sum(p) for p in found)


def test_columns_are_the_monomials(rng: np.random.Generator) -> None:
    xyz = rng.uniform(-1, 1, (3, 20))
    basis = polynomials(xyz, 3)
    for column, powers in zip(basis.T, monomials(3), strict=True):
        np.testing.assert_allclose(column, np.prod(xyz.T ** np.array(powers), axis=1), rtol=1e-12)


def test_a_cubic_is_fitted_exactly_by_order_three_and_not_by_two(rng: np.random.Generator) -> None:
    x, y, z = xyz = rng.uniform(-1, 1, (3, 200))
    values = 2 - x + 3 * x * y * z + 0.5 * z**3
    cubic, quadratic = (polynomials(xyz, order) for order in (3, 2))
    np.testing.assert_allclose(cubic @ np.linalg.lstsq(cubic, values, rcond=None)[0], values, atol=1e-10)
    rest = values - quadratic @ np.linalg.lstsq(quadratic, values, rcond=None)[0]
    assert np.abs(rest).max() > 0.1
