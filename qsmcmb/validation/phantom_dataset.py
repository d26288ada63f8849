"""Phantoms written as BIDS data sets, their truth beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qsmcmb.errors import ConfigError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.phantoms.build import build_sessions, checksum_of
from qsmcmb.phantoms.recipe import Recipe
from qsmcmb.phantoms.siderosis import SiderosisRow
from qsmcmb.phantoms.truth import PhantomSession, TruthMaps, TruthRow

__all__ = (
    "truth_folder",
    "write_phantom",
)

HAEMATOMA = "haematoma"
"""Kind of lesions larger than a microbleed."""
READERS_KINDS = {"flow-void": "other", "air": "other", HAEMATOMA: "other"}
"""Kind in a recipe to what a reader calls it, for mimics for which the lesion table has no word."""
LABELS = ("participant_id", "session_id")
"""Columns that name the scan of a row."""
ANATOMY_NOTICE = (
    "Anatomy from the ICBM 152 nonlinear symmetric 2009a templates, Copyright (C) 1993-2009 Louis Collins, "
    "McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University."
)
"""Notice that the template's licence asks for."""


def truth_folder(out: Path) -> Path:
    """Return the folder in which the truth of a phantom data set lies: OUT-truth.

    Parameters
    ----------
    out : Path
        Folder of the data set.

    Returns
    -------
    Path
        Folder beside it.

    Examples
    --------
    >>> truth_folder(Path("data/demo")).name
    'demo-truth'
    """
    return out.with_name(out.name + "-truth")


def write_phantom(
    recipe: Recipe, out: Path, *, report: Callable[[str, str, float], None] | None = None
) -> list[PhantomSession]:
    """Simulate a recipe and write it as BIDS under `out`, its truth under `out`-truth.

    Parameters
    ----------
    recipe : Recipe
        From `read_recipe`.
    out : Path
        Folder of the data set; it is created.
    report : callable, optional
        Progress, called with session, stage and seconds.

    Returns
    -------
    list of PhantomSession
        The sessions as they were written.

    Raises
    ------
    ConfigError
        The recipe's checksum does not fit what it makes: it was changed, or the software was.
    OutputError
        The folders cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from dataclasses import replace
    >>> from qsmcmb.phantoms.recipe import LesionRecipe, read_recipe
    >>> sphere = replace(read_recipe("sphere"), lesions=LesionRecipe(), checksum="")
    >>> small = replace(sphere, fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sessions = write_phantom(small, Path(folder) / "bids")
    ...     sorted(p.name for p in truth_folder(Path(folder) / "bids").iterdir())
    ['lesions.tsv', 'points.tsv', 'recipe.json', 'sub-sphere']
    """
    made = checksum_of(recipe)
    if recipe.checksum and recipe.checksum != made:
        raise ConfigError(
            f"recipe {recipe.name}: checksum = {recipe.checksum}; expected {made}, which the recipe makes. "
            "Update the checksum if the change is meant"
        )
    truth = truth_folder(out)
    make_folder(out)
    make_folder(truth)
    notice = ANATOMY_NOTICE if recipe.kind == "head" else ""
    write_raw_dataset(out, f"qsmcmb phantom {recipe.name}: {recipe.title}", acknowledgement=notice)
    sessions = []
    for session, maps in build_sessions(recipe, report=report):
        write_raw_scan(out, session.scan, recipe.subject, session.label)
        _write_truth(truth, recipe.subject, session, maps)
        sessions.append(session)
    rows = [
        {
            "participant_id": f"sub-{recipe.subject}", "session_id": f"ses-{s.label}", **r._asdict(),
        }
        for s in sessions for r in s.lesions
    ]  # fmt: skip
    write_tsv(truth / "lesions.tsv", rows, (*LABELS, *TruthRow._fields))
    points = [{**row, "kind": READERS_KINDS.get(str(row["kind"]), row["kind"])} for row in rows]
    write_tsv(truth / "points.tsv", points, (*LABELS, "x_mm", "y_mm", "z_mm", "kind"))
    record = {"Recipe": recipe.name, "Seed": recipe.seed, "Checksum": made, "Notice": notice}
    write_json(truth / "recipe.json", record)
    return sessions


def _write_truth(truth: Path, subject: str, session: PhantomSession, maps: TruthMaps) -> None:
    """Write one session's truth: maps, brain, territories, lesions, and areas of siderosis where there are any."""
    stem = f"sub-{subject}_ses-{session.label}"
    folder = truth / f"sub-{subject}" / f"ses-{session.label}"
    folder.mkdir(parents=True, exist_ok=True)
    affine = session.scan.grid.affine
    save_volume(folder / f"{stem}_desc-brain_mask.nii.gz", session.brain, affine)
    save_volume(folder / f"{stem}_Chimap.nii.gz", maps.chi_ppm, affine)
    save_volume(folder / f"{stem}_desc-local_fieldmap.nii.gz", maps.local_field_ppm, affine)
    save_volume(folder / f"{stem}_desc-territory_dseg.nii.gz", maps.territory, affine)
    write_tsv(folder / f"{stem}_lesions.tsv", [r._asdict() for r in session.lesions], TruthRow._fields)
    if session.siderosis:
        rows = [r._asdict() for r in session.siderosis]
        write_tsv(folder / f"{stem}_siderosis.tsv", rows, SiderosisRow._fields)
