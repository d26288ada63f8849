"""Images that are no phase are named, with a cure that mends them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import Volume
from qsmcmb.io.phase_values import check_phase_values
from qsmcmb.typing import AnyArray

SHAPE = (24, 22, 20)
RNG = np.random.default_rng(3)
RADIUS = np.linalg.norm([a - (n - 1) / 2 for a, n in zip(np.indices(SHAPE), SHAPE, strict=True)], axis=0)
HEAD = RADIUS < 9
PHASE = np.angle(np.exp(1j * np.where(HEAD, 0.3 * RADIUS + 1, RNG.uniform(-np.pi, np.pi, SHAPE))))
MAGNITUDE = np.where(HEAD, 3000 - 60 * RADIUS, 20.0) + RNG.uniform(0, 30, SHAPE)
TWELVE_BITS = np.round(PHASE / np.pi * 2048).clip(-2048, 2047).astype(np.int16)


def volume(values: AnyArray, name: str = "phase.nii") -> Volume:
    return Volume(
        path=Path(name), data=values, slope=1.0, inter=0.0, affine=np.eye(4), sha256="", warnings=(), oriented=True,
    )  # fmt: skip


def check(phase: AnyArray, magnitude: AnyArray = MAGNITUDE, *, is_range_stated: bool = False) -> None:
    check_phase_values([volume(phase)], [volume(magnitude, "mag.nii")], is_range_stated=is_range_stated)


PROPER = {
    "radians": PHASE,
    "radians from 0": PHASE % (2 * np.pi),
    "12 bits": TWELVE_BITS,
    "12 bits, unsigned, masked": np.where(HEAD, TWELVE_BITS + 2048, 0).astype(np.uint16),
    "16 bits": np.round((PHASE + np.pi) / (2 * np.pi) * 65535).astype(np.uint16),
    "narrow, masked": np.where(HEAD, 0.05 * RADIUS, 0),
    "narrow about a wrap, masked": np.where(HEAD, np.round(65536 + 600 * (RADIUS - 4)) % 65536, 0),
}


@pytest.mark.parametrize("form", PROPER)
def test_phase_passes(form: str) -> None:
    check(PROPER[form])


@pytest.mark.parametrize("form", ["radians", "radians from 0", "12 bits"])
def test_exchanged_phase_and_magnitude_are_named(form: str) -> None:
    with pytest.raises(InvalidInputError, match=r"PHASE-VALUES phase.nii.*exchange the names"):
        check(MAGNITUDE.astype(np.int16), PROPER[form])


def test_a_magnitude_in_place_of_the_phase_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"PHASE-VALUES .*looks like a magnitude"):
        check(0.8 * MAGNITUDE)


def test_numbers_stored_without_their_sign_are_named() -> None:
    stored = TWELVE_BITS.view(np.uint16)
    with pytest.raises(InvalidInputError, match=r"PHASE-VALUES .*as signed integers"):
        check(stored)
    check(stored.view(np.int16))


@pytest.mark.parametrize("lost", [np.maximum(PHASE, 0), np.abs(TWELVE_BITS), np.maximum(TWELVE_BITS, 0)])
def test_a_lost_half_of_the_phase_is_named(lost: AnyArray) -> None:
    with pytest.raises(InvalidInputError, match=r"PHASE-VALUES .*half a turn") as caught:
        check(lost)
    assert re.search(r"--phase-range 0 \d", caught.value.fix)
    check(lost, is_range_stated=True)


def test_one_phase_in_two_echoes_is_named() -> None:
    two = [volume(PHASE, "echo-1.nii"), volume(PHASE, "echo-2.nii")]
    with pytest.raises(InvalidInputError, match=r"DUP echo-2.nii.*echo-1.nii"):
        check_phase_values(two, [volume(MAGNITUDE)] * 2, is_range_stated=False)
