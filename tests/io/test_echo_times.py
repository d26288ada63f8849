"""Echo times: of echoes, of phase differences, and what is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.echo_times import EchoTime, check_echo_times, check_parts, echo_time_s, phase_echo_times

PAIR = {"EchoTime1": 0.00492, "EchoTime2": 0.00738}
PHASE, MAG = Path("phase.nii"), Path("mag.nii")


@pytest.mark.parametrize("more", [{}, {"EchoTime": 0.00738}, {"EchoTime": 0.00246}])
def test_the_echo_time_of_a_phase_difference_is_the_difference(more: dict[str, float]) -> None:
    found = phase_echo_times([{**PAIR, **more}], [PHASE])[0]
    assert found.te_s == pytest.approx(0.00246)
    assert "phase difference" in found.note
    assert found.pair_s == (0.00492, 0.00738)
    for te_s in (0.00492, 0.00738):
        check_parts(found, {"EchoTime": te_s}, MAG, PHASE, PAIR)
    check_parts(found, {}, MAG, PHASE, PAIR)
    with pytest.raises(InvalidInputError, match="TE-MISMATCH"):
        check_parts(found, {"EchoTime": 0.01}, MAG, PHASE, PAIR)


@pytest.mark.parametrize(
    ("metas", "word"),
    [
        ([{**PAIR, "EchoTime": 0.00492}], "remove EchoTime1 and EchoTime2"),
        ([{"EchoTime1": 0.00738, "EchoTime2": 0.00492}], "EchoTime2 above EchoTime1"),
        ([PAIR, PAIR], "EchoTime of each echo"),
    ],
)
def test_a_pair_of_echo_times_that_says_no_one_thing_is_refused(
    metas: list[dict[str, Any]], word: str
) -> None:
    with pytest.raises(InvalidInputError, match="TE-DIFF") as caught:
        phase_echo_times(metas, [PHASE] * len(metas))
    assert word in str(caught.value)


def test_echoes_that_carry_the_pair_besides_keep_their_own_echo_times() -> None:
    metas = [{**PAIR, "EchoTime": t} for t in PAIR.values()]
    assert phase_echo_times(metas, [PHASE] * 2) == [EchoTime(t) for t in PAIR.values()]


@pytest.mark.parametrize(
    ("found", "fix"),
    [
        ("4.0", '"EchoTime": 0.004 '),
        ("4 ms", '"EchoTime": 0.004 '),
        ("0.004", '"EchoTime": 0.004 '),
        ("4,5ms", '"EchoTime": 0.0045 '),
        ("0.0045 s", '"EchoTime": 0.0045 '),
        ([0.0045], '"EchoTime": 0.0045 '),
        ("short", "correct EchoTime"),
        (True, "correct EchoTime"),
    ],
)
def test_text_is_no_number_and_the_fix_says_which(found: object, fix: str) -> None:
    with pytest.raises(InvalidInputError, match="TE-TYPE") as caught:
        echo_time_s({"EchoTime": found}, PHASE)
    assert fix in caught.value.fix


def test_one_echo_time_for_all_echoes_is_named_as_such() -> None:
    with pytest.raises(InvalidInputError, match="all 4 echoes"):
        check_echo_times([0.006] * 4, [PHASE] * 4)
