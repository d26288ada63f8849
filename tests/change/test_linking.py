"""Lesions of several sessions are grouped at the least cost over all, parts with their whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qsmcmb.change.linking import GATE_SD, LocatedLesion, link_lesions, position_sd_mm
from qsmcmb.change.parts import Body, join_parts


def at(session: int, x: float, total: float = 3.0, sd_mm: float = 0.4) -> LocatedLesion:
    return LocatedLesion(session, np.array([x, 0.0, 0.0]), total, sd_mm)


def cost(lesions: list[LocatedLesion], groups: list[list[int]]) -> float:
    total = 0.0
    for group in groups:
        for i, j in itertools.combinations(group, 2):
            a, b = lesions[i], lesions[j]
            squared = float(((a.position_mm - b.position_mm) ** 2).sum())
            total += squared / (a.sd_mm**2 + b.sd_mm**2) - GATE_SD**2
    return total


def groupings(n: int) -> list[list[list[int]]]:
    """Return every way to group n lesions."""
    found: list[list[list[int]]] = [[]]
    for i in range(n):
        found = [
            [*([*g, i] if k == j else g for k, g in enumerate(groups)), *([[i]] if j == len(groups) else [])]
            for groups in found
            for j in range(len(groups) + 1)
        ]
    return found


def test_the_grouping_is_the_best_of_all(rng: np.random.Generator) -> None:
    for _ in range(20):
        lesions = [at(s, float(rng.uniform(0, 6))) for s in (0, 0, 1, 1, 2, 2)]
        allowed = [
            g
            for g in groupings(6)
            if all(len({lesions[i].session for i in group}) == len(group) for group in g)
        ]
        best = min(cost(lesions, g) for g in allowed)
        assert cost(lesions, link_lesions(lesions)) == pytest.approx(best, abs=1e-6)


def test_the_third_session_decides() -> None:
    """Nearest first would join 0 and 1 and leave the others: over all sessions two whole groups cost less."""
    lesions = [at(0, 0.0), at(1, 1.2), at(1, -1.5), at(2, -0.8), at(2, 2.2), at(0, 2.0)]
    assert link_lesions(lesions) == [[0, 2, 3], [1, 4, 5]]


def test_beyond_the_gate_lesions_are_two_and_signs_never_mix() -> None:
    gate = GATE_SD * 0.4 * 2**0.5
    assert link_lesions([at(0, 0.0), at(1, gate - 0.01)]) == [[0, 1]]
    assert link_lesions([at(0, 0.0), at(1, gate + 0.01)]) == [[0], [1]]
    assert link_lesions([at(0, 0.0), at(1, 0.0, total=-3.0)]) == [[0], [1]]
    assert link_lesions([]) == []


def test_a_weak_or_large_lesion_may_lie_further_off() -> None:
    strong = position_sd_mm(10.0, 0.1, diameter_mm=3.0, registration_mm=0.3)
    assert strong < position_sd_mm(0.3, 0.1, diameter_mm=3.0, registration_mm=0.3)
    assert strong < position_sd_mm(10.0, 0.1, diameter_mm=9.0, registration_mm=0.3)
    assert strong < position_sd_mm(10.0, 0.1, diameter_mm=3.0, registration_mm=2.0)


def test_lesions_five_millimetres_apart_are_matched_right(rng: np.random.Generator) -> None:
    """A chain of lesions 5 mm apart, three sessions, turned by up to 15 degrees and registered with 0.5 mm of error."""
    right = total = 0
    for _ in range(20):
        steps = rng.normal(size=(15, 3))
        points = np.cumsum(5.0 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
        near = np.linalg.norm(points[:, None] - points[None], axis=2) + 9.0 * np.eye(len(points))
        points = points[near.min(axis=0) > 4.99]
        turn = Rotation.from_rotvec(rng.normal(0, np.deg2rad(15 / 3), 3))
        lesions, truth = [], []
        for session in range(3):
            left = Rotation.from_rotvec(rng.normal(0, np.deg2rad(0.3), 3))
            seen = left.apply(turn.inv().apply(turn.apply(points)))
            seen = seen + rng.normal(0, 0.5 / 3**0.5, 3) + rng.normal(0, 0.35, seen.shape)
            lesions += [LocatedLesion(session, p, 3.0, 0.45) for p in seen]
            truth += list(range(len(points)))
        for group in link_lesions(lesions):
            total += 1
            right += len(group) == 3 and len({truth[i] for i in group}) == 1
    assert total > 60
    assert right / total >= 0.98


def body(session: int, x: float, total: float, diameter_mm: float = 4.0) -> Body:
    return Body(at(session, x, total), 0.1, diameter_mm)


def test_two_parts_are_one_lesion_where_their_sum_and_centre_are_its() -> None:
    whole, parts = body(0, 0.0, 6.0), [body(1, -2.0, 3.1), body(1, 2.0, 2.9)]
    assert join_parts([whole, *parts], [[0], [1], [2]]) == [[0, 1, 2]]
    # One part is matched with the whole already.
    assert join_parts([whole, body(1, 0.8, 5.0), body(1, -4.0, 1.0)], [[0, 1], [2]]) == [[0, 1, 2]]


def test_a_new_neighbour_is_no_part() -> None:
    old = [body(0, 0.0, 3.0), body(1, 0.1, 3.05)]
    assert join_parts([*old, body(1, 3.5, 2.0)], [[0, 1], [2]]) == [[0, 1], [2]]
    far = [body(0, 0.0, 6.0), body(1, -5.0, 3.0), body(1, 5.0, 3.0)]
    assert join_parts(far, [[0], [1], [2]]) == [[0], [1], [2]]


def test_parts_of_both_signs_are_summed() -> None:
    """A large void that one fit has described as a positive and a negative source."""
    bodies = [body(0, 0.0, 58.0, 9.0), body(1, -1.4, 101.0, 9.0), body(1, 3.6, -43.0, 9.0)]
    assert join_parts(bodies, [[0, 1], [2]]) == [[0, 1, 2]]
