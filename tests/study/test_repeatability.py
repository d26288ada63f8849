"""File of a study's own errors of change."""

from pathlib import Path
from typing import Any

import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.tables import write_json
from qsmcmb.study.repeatability import KEYS, read_repeatability


def record(**changes: Any) -> dict[str, Any]:
    return {**dict.fromkeys(KEYS, 0.5), "region_sd_ppm": {"putamen": 0.002}, **changes}


def test_the_file_gives_the_errors_with_its_name(tmp_path: Path) -> None:
    write_json(tmp_path / "own.json", record(sd_factor=1.5))
    found = read_repeatability(tmp_path / "own.json")
    assert found.errors.sd_factor == 1.5
    assert found.errors.source == "own.json"
    assert found.region_sd_ppm == {"putamen": 0.002}


@pytest.mark.parametrize("value", [None, True, "0.5", -0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", [*KEYS, "putamen"])
def test_a_number_that_is_none_is_refused_by_name(tmp_path: Path, name: str, value: object) -> None:
    changes = {"region_sd_ppm": {name: value}} if name == "putamen" else {name: value}
    write_json(tmp_path / "own.json", record(**changes))
    with pytest.raises(InvalidInputError, match=f"REPEATABILITY .*own.json: {name} = "):
        read_repeatability(tmp_path / "own.json")
