"""A phantom written as a BIDS data set, its truth beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qsmcmb.errors import ConfigError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.phantoms.build import PhantomSession, TruthRow, build_phantom, checksum_of
from qsmcmb.phantoms.recipe import Recipe

ANATOMY_NOTICE = (
    "Anatomy from the ICBM 152 nonlinear symmetric 2009a templates, Copyright (C) 1993-2009 Louis Collins, "
    "McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University."
)


def truth_folder(out: Path) -> Path:
    """Return where the truth of a phantom data set lies: OUT-truth."""
    return out.with_name(out.name + "-truth")


def write_phantom(
    recipe: Recipe, out: Path, *, report: Callable[[str, str, float], None] | None = None
) -> list[PhantomSession]:
    """Simulate a recipe and write it as BIDS under `out`, its truth under `out`-truth.

    Raises
    ------
    ConfigError
        The recipe's checksum does not fit what it makes: it was changed, or the software was.
    OutputError
        The folders cannot be written.
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
    sessions = build_phantom(recipe, report=report)
    notice = ANATOMY_NOTICE if recipe.kind == "head" else ""
    write_raw_dataset(out, f"qsmcmb phantom {recipe.name}: {recipe.title}", acknowledgement=notice)
    for session in sessions:
        write_raw_scan(out, session.scan, recipe.subject, session.label)
        folder = truth / f"sub-{recipe.subject}" / f"ses-{session.label}"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"sub-{recipe.subject}_ses-{session.label}"
        save_volume(folder / f"{stem}_desc-brain_mask.nii.gz", session.brain, session.scan.grid.affine)
        write_tsv(folder / f"{stem}_lesions.tsv", [r._asdict() for r in session.lesions], TruthRow._fields)
    rows = [
        {
            "participant_id": f"sub-{recipe.subject}", "session_id": f"ses-{s.label}", "kind": r.kind,
            "x_mm": r.x_mm, "y_mm": r.y_mm, "z_mm": r.z_mm,
        }
        for s in sessions for r in s.lesions
    ]  # fmt: skip
    columns = ("participant_id", "session_id", "x_mm", "y_mm", "z_mm", "kind")
    write_tsv(truth / "points.tsv", rows, columns)
    record = {"Recipe": recipe.name, "Seed": recipe.seed, "Checksum": made, "Notice": notice}
    write_json(truth / "recipe.json", record)
    return sessions
