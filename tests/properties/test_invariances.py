"""Every method of every family against the table of invariances."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numba
import numpy as np
import pytest

from qsmcmb.core import compiled
from qsmcmb.dipole_inversion import head
from qsmcmb.dipole_inversion.head import is_nonlinear
from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import AnyArray
from tests.properties import table
from tests.properties.cases import (
    FAMILIES,
    Case,
    all_methods,
    function_of,
    make_case,
    methods_of,
    run,
)
from tests.scenes.turned import MIRRORS, PADDED, TURNS, View

Volumes = dict[str, AnyArray]
EVERY = pytest.mark.parametrize(("family", "method"), all_methods())


def keeping(name: str) -> pytest.MarkDecorator:
    """Return the methods that promise an invariance."""
    methods = [m for m in all_methods() if table.limit(*m, name).most is not None]
    return pytest.mark.parametrize(("family", "method"), methods)


MEASURED = {
    "masking": "magnitude", "unwrapping": "magnitude", "field_mapping": "magnitude", "relaxometry": "magnitude",
    "susceptibility_weighting": "magnitude", "background_removal": "field", "dipole_inversion": "field",
}  # fmt: skip
PHASE = {
    "masking": "phase", "unwrapping": "phase", "field_mapping": "unwrapped", "background_removal": "field",
    "dipole_inversion": "field", "susceptibility_weighting": "phase",
}  # fmt: skip
REFUSED = {
    "masking": ("phase", "magnitude"), "unwrapping": ("phase",), "field_mapping": ("unwrapped", "magnitude"),
    "background_removal": ("field",), "dipole_inversion": ("field",), "relaxometry": ("magnitude",),
    "susceptibility_weighting": ("phase", "magnitude"),
}  # fmt: skip
"""What must be finite inside the mask; an infinite SD is a voxel that says nothing."""
SIGNED = {"unwrapped", "total_field_hz", "local_field_hz", "chi"}
PER_SECOND = {"total_field_hz", "field_sd_hz", "r2star"}
SCALED = {"local_field_hz", "chi", "swi", "mip_min"}


@cache
def usual(family: str, method: str) -> tuple[Case, Volumes]:
    """Return the case of a method and its result, which no test changes."""
    case = make_case(family, method)
    return case, run(family, method, case)


def deviation(expected: Volumes, found: Volumes, inside: AnyArray | None) -> float:
    """Return the largest deviation of any volume, as the table defines it."""
    assert expected.keys() == found.keys()
    worst = 0.0
    for name, one in expected.items():
        other = found[name]
        assert other.shape == one.shape
        assert other.dtype == one.dtype
        if one.dtype == bool:
            worst = max(worst, float((one != other).sum() / one.sum()))
            continue
        a, b = (v if inside is None else v[..., inside] for v in (one, other))
        assert np.isfinite(b).all()
        worst = max(worst, float(np.abs(a - b).max() / np.abs(a).max()))
    return worst


def hold(name: str, family: str, method: str, found: Callable[[Case], Volumes]) -> None:
    """Compare what a changed case gives with what the usual one does, and that with the table."""
    case, expected = usual(family, method)
    assert (
        deviation(expected, found(case), case.volumes.get("mask")) <= table.limit(family, method, name).most
    )


def divided(volumes: Volumes, factor: float, names: set[str]) -> Volumes:
    return {k: v / np.float32(factor) if k in names else v for k, v in volumes.items()}


def in_another_unit(family: str, method: str, case: Case, factor: float) -> Volumes:
    """Return the result of the same scan in another unit, in the usual one."""
    names = {MEASURED[family]} | ({"sd"} if "sd" in case.volumes else set())
    if family == "dipole_inversion":
        # The phase is what was measured: a field of larger numbers means less phase per number.
        case = replace(case, b0_tesla=case.b0_tesla / factor)
        if method == "tgv":
            names = {"sd"}
    return divided(run(family, method, case.scaled(factor, *names)), factor, SCALED)


@keeping("unit")
@pytest.mark.parametrize(("name", "factor"), [("unit, a power of two", 128.0), ("unit", 3.7)])
def test_the_unit_does_not_matter(family: str, method: str, name: str, factor: float) -> None:
    hold(name, family, method, lambda case: in_another_unit(family, method, case, factor))


@keeping("sign")
def test_the_other_sign_gives_the_other_sign(family: str, method: str) -> None:
    hold(
        "sign", family, method,
        lambda case: divided(run(family, method, case.scaled(-1, PHASE[family])), -1, SIGNED),
    )  # fmt: skip


@keeping("echo times")
def test_twice_the_echo_times_is_half_the_field(family: str, method: str) -> None:
    def found(case: Case) -> Volumes:
        later = replace(case, te_s=tuple(2 * t for t in case.te_s))
        return divided(run(family, method, later), 0.5, PER_SECOND)

    hold("echo times", family, method, found)


@keeping("constant")
def test_a_constant_does_not_matter(family: str, method: str) -> None:
    def found(case: Case) -> Volumes:
        name, more = PHASE[family], np.float32(1.0)
        volume = case.volumes[name] + more
        if family == "background_removal":
            return run(family, method, case.with_volumes(**{name: np.where(case.volumes["mask"], volume, 0)}))
        wrapped = np.angle(np.exp(1j * volume)).astype(np.float32)
        made = run(family, method, case.with_volumes(**{name: wrapped}))
        if family == "unwrapping":
            away = made["unwrapped"] - more - usual(family, method)[1]["unwrapped"]
            turns = np.rint(np.median(away[:, case.volumes["mask"]], axis=1) / (2 * np.pi))
            offset = (2 * np.pi * turns + more)[:, None, None, None]
            made["unwrapped"] = (made["unwrapped"] - offset).astype(np.float32)
        return made

    hold("constant", family, method, found)


def length_power(method: str, option: str) -> int:
    """Return the power of a length in the unit of an option."""
    if option == "regularisation":
        # Of the gradient, ppm mm; of its square, mm2.
        return 2 if method == "tikhonov" else 1
    return 4 if option == "beta" else int(option.endswith("_mm"))


def with_lengths(family: str, method: str) -> Case:
    """Return the case of a method with what it would choose or take as usual written out, where a length is in it."""
    case, parameters = make_case(family, method), inspect.signature(function_of(family, method)).parameters
    options = {k: parameters[k].default for k in parameters if length_power(method, k)}
    if "regularisation" in parameters:
        # Chosen from a ladder of weights, which has no step of 2.
        options["regularisation"] = 3e-3
    given = {k: v for k, v in options.items() if v is not None}
    return replace(case, options={**given, **case.options})


@keeping("length")
def test_the_unit_of_length_does_not_matter(
    family: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = with_lengths(family, method)
    expected = run(family, method, case)
    larger = {k: v * 2.0**n for k, v in case.options.items() if (n := length_power(method, k))}
    other = replace(case.stretched(2.0), options={**case.options, **larger})
    monkeypatch.setattr(head, "PAD_MM", 2 * head.PAD_MM)
    for name, module in list(sys.modules.items()):
        for pace in {"SHRINK", "LONG_SHRINK"} & set(vars(module) if "dipole_inversion" in name else ()):
            # Per mm: sets the speed of a splitting, not its solution.
            monkeypatch.setattr(module, pace, getattr(module, pace) / 2)
    limit = table.limit(family, method, "length").most
    assert deviation(expected, run(family, method, other), case.volumes.get("mask")) <= limit


def from_elsewhere(family: str, method: str, view: View) -> Callable[[Case], Volumes]:
    return lambda case: {k: view.back(v) for k, v in run(family, method, case.seen(view)).items()}


@keeping("quarter turns")
@pytest.mark.parametrize("view", TURNS, ids=lambda v: v.name)
def test_quarter_turns_turn_the_result(family: str, method: str, view: View) -> None:
    hold("quarter turns", family, method, from_elsewhere(family, method, view))


@keeping("mirrors")
@pytest.mark.parametrize("view", MIRRORS, ids=lambda v: v.name)
def test_mirrors_mirror_the_result(family: str, method: str, view: View) -> None:
    hold("mirrors", family, method, from_elsewhere(family, method, view))


@pytest.mark.parametrize("method", table.SPLIT)
@pytest.mark.parametrize("view", [TURNS[2], MIRRORS[0]], ids=lambda v: v.name)
def test_the_first_solution_of_a_splitting_turns_exactly(method: str, view: View) -> None:
    """Before the first splitting there is no side of the mask that differs."""
    case = replace(make_case("dipole_inversion", method), options={"max_iterations": 1})
    expected = run("dipole_inversion", method, case)
    found = from_elsewhere("dipole_inversion", method, view)(case)
    assert deviation(expected, found, case.volumes["mask"]) <= table.ROUNDING.most


@keeping("padding")
def test_zeros_around_the_volume_do_not_matter(family: str, method: str) -> None:
    hold("padding", family, method, from_elsewhere(family, method, PADDED))


@keeping("outside")
def test_what_stands_outside_the_mask_does_not_matter(family: str, method: str) -> None:
    def found(case: Case) -> Volumes:
        mask = case.volumes["mask"]
        # An image and its projection show the magnitude beside the mask, too.
        kept = {"mask", "magnitude"} if family == "susceptibility_weighting" else {"mask"}
        dirty = {k: np.where(mask, v, np.float32(np.nan)) for k, v in case.volumes.items() if k not in kept}
        return run(family, method, case.with_volumes(**dirty))

    hold("outside", family, method, found)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@keeping("threads")
def test_the_number_of_threads_does_not_change_a_byte(
    family: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small volumes would be left to one thread.
    monkeypatch.setattr(compiled, "MIN_PARALLEL_VOXELS", 0)

    def found(case: Case) -> Volumes:
        with threads(1):
            one = run(family, method, case)
        with threads(numba.config.NUMBA_NUM_THREADS):
            many = run(family, method, case)
        assert all(one[k].tobytes() == many[k].tobytes() for k in one)
        return many

    hold("threads", family, method, found)


@keeping("repeats")
def test_a_second_call_gives_the_same_bytes_whatever_ran_before(family: str, method: str) -> None:
    def found(case: Case) -> Volumes:
        other = methods_of(family)[0]
        run(family, other, make_case(family, other).scaled(2.0, MEASURED[family]))
        return run(family, method, case)

    hold("repeats", family, method, found)


@EVERY
def test_the_input_is_left_as_it_was(family: str, method: str) -> None:
    case = make_case(family, method)
    before = {k: v.copy() for k, v in case.volumes.items()}
    made = run(family, method, case)
    for name, volume in case.volumes.items():
        np.testing.assert_array_equal(volume, before[name])
    # A result is nobody else's memory.
    for volume in made.values():
        assert not any(np.shares_memory(volume, v) for v in case.volumes.values())
        volume[...] = 0
    for name, volume in case.volumes.items():
        np.testing.assert_array_equal(volume, before[name])


@EVERY
def test_results_are_float32_on_the_grid_and_0_outside(family: str, method: str) -> None:
    case, made = usual(family, method)
    for name, volume in made.items():
        assert volume.shape[-3:] == case.grid.shape
        assert volume.dtype == (np.bool_ if name == "mask" else np.float32)
        assert volume.flags.c_contiguous
        if "mask" in case.volumes and family != "susceptibility_weighting":
            outside = volume[..., ~case.volumes["mask"]]
            assert np.isinf(outside).all() if name == "field_sd_hz" else not outside.any()


@EVERY
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(family: str, method: str, bad: float) -> None:
    case = make_case(family, method)
    at = tuple(n // 2 for n in case.grid.shape)
    for name in REFUSED[family]:
        spoilt = case.volumes[name].copy()
        spoilt[(..., *at)] = bad
        with pytest.raises(InvalidInputError, match=r"\d values that are not finite"):
            run(family, method, case.with_volumes(**{name: spoilt}))


@EVERY
def test_a_volume_of_another_shape_is_refused(family: str, method: str) -> None:
    case = make_case(family, method)
    for name, volume in case.volumes.items():
        with pytest.raises(InvalidInputError, match=r"\.shape = .*expected"):
            run(family, method, case.with_volumes(**{name: volume[..., :-1]}))


@pytest.mark.parametrize("method", [m for m in methods_of("dipole_inversion") if m != "tgv"])
def test_a_map_is_proportional_to_the_field_or_sees_its_phase(method: str) -> None:
    """Sixty-four times the field with the same phase of 1 ppm: some of it turns often, and a cosine does not grow."""
    case = make_case("dipole_inversion", method)
    linear = method in table.LINEAR
    assert linear != is_nonlinear(method)
    if not linear:
        # They take their first steps linear.
        case = replace(case, options={**case.options, "max_iterations": 30})
    one = run("dipole_inversion", method, case)["chi"]
    other = run("dipole_inversion", method, case.scaled(64.0, "field", "sd"))["chi"] / 64
    away = np.linalg.norm(other - one) / np.linalg.norm(one)
    assert away <= table.ROUNDING.most if linear else away > 0.01


def test_every_exception_has_a_reason_and_is_one() -> None:
    for (family, method), limits in table.EXCEPTIONS.items():
        assert family in FAMILIES
        assert method == "*" or method in methods_of(family)
        for name, limit in limits.items():
            assert len(limit.why.split()) >= 4, (family, method, name)
    # What nobody keeps as usual would be no promise.
    for name in table.USUAL:
        assert sum(table.limit(*m, name) == table.USUAL[name] for m in all_methods()) >= 7, name
