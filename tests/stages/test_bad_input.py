"""What every method of every family refuses: the message names it, says what it got and what it needs."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpydoc.docscrape import FunctionDoc

import qsmcmb as qc
from qsmcmb.core.methods import load
from qsmcmb.dipole_inversion.head import starting_point
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.masking.brain import mask_brain
from qsmcmb.model import Grid
from qsmcmb.relaxometry.r2star import map_r2star
from qsmcmb.typing import BoolArray, FloatArray

GRID = Grid((14, 15, 16), (1.0, 1.1, 1.3), (0.0, 0.28, 0.96))
TE_S = (0.005, 0.010, 0.015)
FAMILIES = (
    "masking", "unwrapping", "field_mapping", "background_removal", "dipole_inversion", "relaxometry",
)  # fmt: skip
GIVEN = {
    "magnitude", "te_s", "b0_tesla", "field_sd_hz", "field_sd_ppm", "echo_magnitude", "radians_per_ppm", "phase_rad",
    "weights_field_ppm",
}  # fmt: skip


def methods(*families: str) -> list[tuple[str, str]]:
    return [(f, m) for f in families for m in importlib.import_module(f"qsmcmb.{f}").METHODS]


def echoes() -> FloatArray:
    return np.ones((len(TE_S), *GRID.shape), np.float32)


def whole() -> BoolArray:
    return np.ones(GRID.shape, bool)


def call(
    family: str, method: str, data: FloatArray, mask: BoolArray, options: dict[str, object] | None = None
) -> Any:
    """Call a family's head; `data` are echoes, of which a method that starts from a field gets the first."""
    given: dict[str, Any] = {"method": method, "options": options}
    if family == "masking":
        return mask_brain(data, data, GRID, **given)
    if family == "unwrapping":
        return qc.unwrap(data, mask, GRID, magnitude=echoes(), te_s=TE_S, **given)
    if family == "field_mapping":
        return qc.map_field(data, echoes(), mask, GRID, te_s=TE_S, **given)
    if family == "background_removal":
        return qc.remove_background(data[0], mask, GRID, **given)
    if family == "relaxometry":
        return map_r2star(data, mask, te_s=TE_S, **given)
    start = data if starting_point(method) == "wrapped phase" else data[0]
    return qc.invert(start, mask, GRID, te_s=TE_S, b0_tesla=3.0, magnitude=echoes(), **given)


@pytest.mark.parametrize(("family", "method"), methods(*FAMILIES[1:]))
def test_an_empty_mask(family: str, method: str) -> None:
    with pytest.raises(InvalidInputError, match=r"mask.*0.*at least one voxel"):
        call(family, method, echoes(), ~whole())


@pytest.mark.parametrize(("family", "method"), methods(*FAMILIES))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_inside_the_mask(family: str, method: str, bad: float) -> None:
    data = echoes()
    data[0, 5, 6, 7] = bad
    with pytest.raises(InvalidInputError, match="1 values that are not finite"):
        call(family, method, data, whole())


@pytest.mark.parametrize(("family", "method"), methods(*FAMILIES[1:]))
def test_a_mask_of_another_shape(family: str, method: str) -> None:
    with pytest.raises(InvalidInputError, match=r"mask.shape"):
        call(family, method, echoes(), np.ones((14, 15, 17), bool))


@pytest.mark.parametrize("direction", [(0.0, 0.0, 2.0), (0.0, 0.0, 0.0), (0.6, 0.6, 0.6), (np.nan, 0.0, 1.0)])
def test_a_direction_that_is_no_unit_vector(direction: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidInputError, match=r"b0_dir.*unit vector"):
        Grid(GRID.shape, GRID.voxel_size_mm, direction)


def numbers() -> Iterator[tuple[str, str, str]]:
    """Every option of every method that is a number, or one that the method finds where it is not given."""
    for family, method in methods(*FAMILIES):
        function: Callable[..., Any] = load(importlib.import_module(f"qsmcmb.{family}").METHODS[method])
        for name, parameter in inspect.signature(function).parameters.items():
            default = parameter.default
            number = default is None or (isinstance(default, (int, float)) and not isinstance(default, bool))
            if parameter.kind is parameter.KEYWORD_ONLY and name not in GIVEN and number:
                yield family, method, name


@pytest.mark.parametrize(("family", "method", "option"), list(numbers()))
@pytest.mark.parametrize("value", [np.nan, -1e9, 1e12])
def test_an_option_out_of_range(family: str, method: str, option: str, value: float) -> None:
    with pytest.raises((InvalidInputError, ConfigError), match=rf"\b{option}\b"):
        call(family, method, echoes(), whole(), {option: value})


NUMBER = r"(\d[\d.]*(?:e-?\d+)?(?:/\d+)?)"


def documented() -> Iterator[tuple[str, str, str, str]]:
    """Every numeric option whose docstring states a range, as the message of a refusal would write it."""
    for family, method, option in numbers():
        function = load(importlib.import_module(f"qsmcmb.{family}").METHODS[method])
        words = {
            name.strip(): " ".join(p.desc)
            for p in FunctionDoc(function)["Parameters"]
            for name in p.name.split(",")
        }
        ranges = re.findall(rf"(?<![\w.]){NUMBER} to {NUMBER}", words[option])
        if ranges:
            ends = [end.rstrip(".") for end in ranges[-1]]
            low, high = (float(Fraction(end)) if "/" in end else float(end) for end in ends)
            yield family, method, option, f"{low:g} to {high:g}"


def test_most_options_state_their_range() -> None:
    assert len(list(documented())) > 0.6 * len(list(numbers()))


@pytest.mark.parametrize(("family", "method", "option", "stated"), list(documented()))
def test_the_range_that_is_checked_is_the_one_that_is_documented(
    family: str, method: str, option: str, stated: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        call(family, method, echoes(), whole(), {option: float("nan")})
    assert caught.value.expected == f"a number from {stated}"


@pytest.mark.parametrize(("family", "method", "option"), [n for n in numbers() if "radius" in n[2]])
def test_a_radius_below_one_voxel(family: str, method: str, option: str) -> None:
    with pytest.raises((InvalidInputError, ConfigError), match=rf"{option}.*voxel"):
        call(family, method, echoes(), whole(), {option: 1.2})


COUNTS = (
    "max_iterations",
    "max_cycles",
    "first_iterations",
    "absolute_steps",
    "reweightings",
    "n_radii",
    "template",
)


@pytest.mark.parametrize(("family", "method", "option"), [n for n in numbers() if n[2] in COUNTS])
def test_a_count_of_nothing(family: str, method: str, option: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"{option} = 0; expected .*from 1"):
        call(family, method, echoes(), whole(), {option: 0})


@pytest.mark.parametrize(("family", "method"), methods(*FAMILIES))
def test_an_option_that_it_does_not_have(family: str, method: str) -> None:
    with pytest.raises(ConfigError, match="no option 'nonsense'"):
        call(family, method, echoes(), whole(), {"nonsense": 1})
