"""Lists of lesions as readers and other programs write them: read right, or refused with the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.labels import read_lesion_labels
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.point_list import PointRow, read_point_list
from qsmcmb.io.points import check_points_known, read_points
from qsmcmb.lesion import KINDS, read_kind
from qsmcmb.microbleeds.measure import Targets
from qsmcmb.model import Grid

WHERE = [[12.5, -9.0, 8.0], [-15.0, 12.0, 10.25]]


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


TABLES = {
    "tabs": "x_mm\ty_mm\tz_mm\n12.5\t-9\t8\n-15\t12\t10.25\n",
    "commas": "x_mm,y_mm,z_mm\n12.5,-9,8\n-15,12,10.25\n",
    "semicolons and decimal commas": "x_mm;y_mm;z_mm\n12,5;-9,0;8\n-15;12;10,25\n",
    "tabs and decimal commas": "x_mm\ty_mm\tz_mm\n12,5\t-9\t8\n-15\t12\t10,25\n",
    "quoted cells": '"x_mm","y_mm","z_mm"\n"12,5","-9","8"\n"-15","12","10,25"\n',
    "spaces": "x_mm y_mm z_mm\n12.5 -9 8\n-15  12  10.25\n",
    "capitals and spaces in the header": "X_mm , y mm,Z (mm)\n12.5, -9, 8\n-15, 12, 10.25\n",
    "a line for the spreadsheet": "sep=;\nx_mm;y_mm;z_mm\n12,5;-9;8\n-15;12;10,25\n",
    "comments and empty lines": "# a reader\nx_mm\ty_mm\tz_mm\n\n12.5\t-9\t8\n\t\t\n-15\t12\t10.25\n",
    "trailing separators": "x_mm,y_mm,z_mm\n12.5,-9,8,,\n-15,12,10.25,,\n",
    "another order": "z_mm,name,x_mm,y_mm\n8,a,12.5,-9\n10.25,b,-15,12\n",
    "a minus of typesetters": "x_mm,y_mm,z_mm\n12.5,\u22129,8\n\u221215,12,10.25\n",
    "exported by 3D Slicer": "label,r,a,s,defined\nF-1,12.5,-9,8,1\nF-2,-15,12,10.25,1\n",
    "exported by 3D Slicer as LPS": "label,l,p,s,defined\nF-1,-12.5,9,8,1\nF-2,15,-12,10.25,1\n",
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_many_programs_are_one(case: str, tmp_path: Path) -> None:
    points = read_points(write(tmp_path, "list.csv", TABLES[case]))
    assert points.points_mm.tolist() == WHERE
    assert points.kinds == (None, None)
    assert any("LPS" in note for note in points.notes) == ("LPS" in case)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_the_encoding_are_no_part_of_the_header(encoding: str, tmp_path: Path) -> None:
    assert read_points(write(tmp_path, "a.tsv", TABLES["tabs"], encoding)).points_mm.tolist() == WHERE


REFUSED = {
    "voxel columns": ("i,j,k\n1,2,3\n", "affine"),
    "columns without a unit": ("x,y,z\n1,2,3\n", "add x_mm, y_mm, z_mm"),
    "no header": ("12.5\t-9\t8\n", "add x_mm"),
    "a column twice": ("x_mm,X_mm,y_mm,z_mm\n1,1,2,3\n", "x_mm twice"),
    "decimal commas between commas": ("x_mm,y_mm,z_mm\n12,5,-9,0,8,0\n", "semicolons"),
    "a row too short": ("x_mm,y_mm,z_mm\n12,5\n", "line 2"),
    "no number": ("x_mm,y_mm,z_mm\n1,2,far\n", "line 2, z_mm = far"),
    "an empty cell": ("x_mm,y_mm,z_mm\n1,2,\n", "z_mm = nothing"),
    "not finite": ("x_mm\ty_mm\tz_mm\n1\t2\tnan\n", "z_mm = nan"),
    "thousands": ("x_mm;y_mm;z_mm\n1.234,5;2;3\n", "x_mm = 1.234,5"),
    "an unknown kind": (
        "x_mm,y_mm,z_mm,kind\n1,2,3,bleed?\n",
        "line 2: kind = 'bleed\\?'; expected one of microbleed",
    ),
    "subjects under another name": ("subject,x_mm,y_mm,z_mm\n01,1,2,3\n", "rename subject to participant_id"),
    "sessions under another name": ("session,x_mm,y_mm,z_mm\n1,1,2,3\n", "rename session to session_id"),
    "nothing": ("\n", "no line"),
    "points of two scans": ("participant_id,x_mm,y_mm,z_mm\n01,1,2,3\n02,1,2,3\n", "sub-01, sub-02"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_list_that_cannot_be_read_is_named(case: str, tmp_path: Path) -> None:
    text, words = REFUSED[case]
    with pytest.raises(InvalidInputError, match=words) as caught:
        read_points(write(tmp_path, "list.csv", text))
    assert caught.value.code == "POINTS"
    assert "list.csv" in caught.value.where


def test_a_list_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x_mm,y_mm,z_mm,note\n1,2,3,\xe4\n")
    with pytest.raises(InvalidInputError, match="save the table as text in UTF-8"):
        read_points(tmp_path / "a.csv")


def test_a_list_without_points_is_a_scan_without_lesions(tmp_path: Path) -> None:
    points = read_points(write(tmp_path, "a.tsv", "x_mm\ty_mm\tz_mm\n"))
    assert points.points_mm.shape == (0, 3)
    assert "no point" in points.notes[0]


@pytest.mark.parametrize(
    "word", ["cmb", "CMB", " Microbleed", "micro-bleed", "Cerebral microbleed", "MICROBLEEDS"]
)
def test_words_for_a_microbleed(word: str) -> None:
    assert read_kind(word, "") == "microbleed"
    assert Targets.of_readers([[0, 0, 0]], [word]).kinds == ["microbleed"]


def test_kinds_of_the_table_stay_and_others_are_refused() -> None:
    assert [read_kind(kind.upper(), "") for kind in KINDS] == list(KINDS)
    with pytest.raises(InvalidInputError, match="POINTS kinds"):
        Targets.of_readers([[0, 0, 0]], ["haematoma"])


def markups(points: list[Any], system: object = "LPS", **fields: object) -> str:
    control = [p if isinstance(p, dict) else {"position": p, "positionStatus": "defined"} for p in points]
    return json.dumps(
        {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": control, **fields}]}
    )


def test_markups_of_3d_slicer(tmp_path: Path) -> None:
    lps = [[-x, -y, z] for x, y, z in WHERE]
    unplaced = {"position": [0, 0, 0], "positionStatus": "undefined"}
    for text, n_notes in (
        (markups(WHERE, "RAS"), 0),
        (markups(lps), 1),
        (markups([*lps, unplaced], "LPS"), 2),
    ):
        points = read_points(write(tmp_path, "F.mrk.json", text))
        assert points.points_mm.tolist() == WHERE
        assert len(points.notes) == n_notes
    for text, words in (
        (markups(WHERE, None), "RAS or LPS"),
        (markups(WHERE, "IJK"), "RAS or LPS"),
        (markups(WHERE, type="Line"), "Fiducial"),
        (markups(WHERE, coordinateUnits="cm"), "in mm"),
        (markups([[1, 2]]), "three numbers"),
        ('{"points": []}', "markups of 3D Slicer"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            read_points(write(tmp_path, "F.mrk.json", text))


@pytest.mark.parametrize(("system", "sign"), [("LPS", -1), ("1", -1), ("RAS", 1), ("0", 1)])
def test_older_lists_of_3d_slicer(system: str, sign: int, tmp_path: Path) -> None:
    rows = "".join(
        f"n{i},{sign * x},{sign * y},{z},0,0,0,1,1,1,0,F-{i},,\n" for i, (x, y, z) in enumerate(WHERE)
    )
    head = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n"
    columns = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    assert read_points(write(tmp_path, "F.fcsv", head + columns + rows)).points_mm.tolist() == WHERE
    for text in (head + rows, columns + rows, head + columns + "n,a,b,c\n"):
        with pytest.raises(InvalidInputError, match="POINTS"):
            read_points(write(tmp_path, "F.fcsv", text))


KNOWN = [("01", "1"), ("01", "2"), ("02", "1"), ("03", None)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("09", None), "sub-09; expected one of: sub-01/ses-1"),
        (("01", "3"), "sub-01/ses-3; expected one of: sub-01/ses-1, sub-01/ses-2"),
        (("1", "1"), "perhaps to sub-01/ses-1"),
        (("01", "01"), "perhaps to sub-01/ses-1"),
        (("03", "1"), "expected one of: sub-03"),
        ((None, None), "--participant-label"),
    ],
)
def test_points_of_unknown_scans_are_named(
    row: tuple[str | None, str | None], words: str, tmp_path: Path
) -> None:
    found = read_point_list(write(tmp_path, "a.csv", TABLES["commas"]))
    rows = (PointRow((0, 0, 0), None, *row),)
    with pytest.raises(InvalidInputError, match=words):
        check_points_known(found._replace(rows=rows), KNOWN, ["01", "02"])


def test_labels_with_and_without_their_keys_are_the_same(tmp_path: Path) -> None:
    head = "participant_id\tsession_id\tx_mm\ty_mm\tz_mm\n"
    text = head + "sub-01\tses-1\t1\t2\t3\n01\t1\t4\t5\t6\nsub-02\tn/a\t7\t8\t9\n"
    found = read_point_list(write(tmp_path, "a.tsv", text))
    check_points_known(found, KNOWN, ["01", "02"])
    path = tmp_path / "a.tsv"
    assert read_points(path, participant="01", session="1").points_mm.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read_points(path, participant="02", session="1").points_mm.tolist() == [[7, 8, 9]]
    empty = read_points(path, participant="01", session="2")
    assert empty.points_mm.shape == (0, 3)
    assert "no point of this scan" in empty.notes[-1]


GRID = Grid.isotropic((24, 24, 24), 1.0)
CENTRES = [(6, 6, 6), (10, 18, 17), (16, 8, 12)]


def label_image(folder: Path, values: list[float]) -> Path:
    image = np.zeros(GRID.shape, np.float32)
    for (x, y, z), value in zip(CENTRES, values, strict=True):
        image[x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2] = value
    save_volume(folder / "labels.nii", image, GRID.affine)
    return folder / "labels.nii"


@pytest.mark.parametrize(
    ("values", "n_notes"), [([1, 2, 3], 0), ([1, 1, 1], 1), ([255, 255, 255], 1), ([2, 5, 9], 1)]
)
def test_each_lesion_of_a_label_image_is_a_row(values: list[float], n_notes: int, tmp_path: Path) -> None:
    points = read_lesion_labels(label_image(tmp_path, values), GRID)
    np.testing.assert_allclose(points.points_mm, GRID.to_world(np.array(CENTRES)))
    assert len(points.notes) == n_notes


@pytest.mark.parametrize("values", [[1, 2, 2], [0.3, 0.6, 1], [-1, 1, 2], [np.nan, 1, 2]])
def test_an_image_that_does_not_tell_lesions_apart_is_refused(values: list[float], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="LABELS"):
        read_lesion_labels(label_image(tmp_path, values), GRID)


def test_conversion_leaves_labels_what_they_are(tmp_path: Path) -> None:
    image = label_image(tmp_path, [1, 2.000002, 3])
    assert len(read_lesion_labels(image, GRID).points_mm) == 3
    values = np.full(GRID.shape, np.nan, np.float32)
    values[5:8, 5:8, 5:8] = 1
    save_volume(tmp_path / "nan.nii", values, GRID.affine)
    points = read_lesion_labels(tmp_path / "nan.nii", GRID)
    np.testing.assert_allclose(points.points_mm, GRID.to_world(np.array(CENTRES[:1])))
    assert "taken as outside" in points.notes[0]


def test_an_image_without_labels_is_a_scan_without_lesions(tmp_path: Path) -> None:
    points = read_lesion_labels(label_image(tmp_path, [0, 0, 0]), GRID)
    assert points.points_mm.shape == (0, 3)
    assert "no label" in points.notes[0]
