"""From recipe to scans: field on a fine grid, signal with intravoxel dephasing, k-space crop, offset, noise."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator

import numpy as np

from qsmcmb.phantoms.anatomy import Anatomy, make_anatomy
from qsmcmb.phantoms.lesions import PhantomLesion, draw_lesions
from qsmcmb.phantoms.recipe import Recipe
from qsmcmb.phantoms.scanner import pose_of
from qsmcmb.phantoms.tissue_scan import PhantomSession, TissueScan, TruthMaps, truth_rows

Report = Callable[[str, str, float], None]


def lesions_of(recipe: Recipe, anatomy: Anatomy | None = None) -> tuple[PhantomLesion, ...]:
    """Return the lesions of a recipe, head mm."""
    places = (anatomy or make_anatomy(recipe)).lesion_places()
    return draw_lesions(recipe.lesions, places, np.random.default_rng([recipe.seed, 3]))


def build_sessions(
    recipe: Recipe, *, report: Report | None = None
) -> Iterator[tuple[PhantomSession, TruthMaps]]:
    """Simulate the sessions of a recipe, one at a time.

    Parameters
    ----------
    recipe : Recipe
        From `read_recipe`.
    report : callable, optional
        Progress, called with (session, "simulate", seconds); 0 seconds when it starts.

    Yields
    ------
    tuple of PhantomSession, TruthMaps
    """
    anatomy = make_anatomy(recipe)
    lesions = lesions_of(recipe, anatomy)
    for number, protocol in enumerate(recipe.sessions):
        name, start = f"sub-{recipe.subject}/ses-{protocol.label}", time.perf_counter()
        if report:
            report(name, "simulate", 0.0)
        rng = np.random.default_rng([recipe.seed, 4, number])
        tissue = TissueScan(recipe, protocol, anatomy)
        yield tissue.scan(lesions, rng=rng), tissue.truth_maps(lesions)
        if report:
            report(name, "simulate", time.perf_counter() - start)


def build_phantom(recipe: Recipe, *, report: Report | None = None) -> list[PhantomSession]:
    """Simulate all sessions of a recipe; see `build_sessions`."""
    return [session for session, _ in build_sessions(recipe, report=report)]


def checksum_of(recipe: Recipe) -> str:
    """Return the sha256 of the truth of all sessions, rounded to what the tables show."""
    lesions = lesions_of(recipe)
    digest = hashlib.sha256()
    for tube in recipe.tubes:
        digest.update(repr(tube).encode())
    for protocol in recipe.sessions:
        for row in truth_rows(lesions, pose_of(recipe, protocol)):
            cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row)
            digest.update(("\t".join(cells) + "\n").encode())
    return digest.hexdigest()
