"""Scans from a recipe: field on a fine grid, signal with intravoxel dephasing, k-space crop, offset, noise."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import numpy as np

from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.anatomy import Anatomy
from qsmcmb.phantoms.draw import draw_lesions
from qsmcmb.phantoms.lesions import PhantomLesion
from qsmcmb.phantoms.recipe import Recipe
from qsmcmb.phantoms.scanner import pose_of
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.phantoms.truth import PhantomSession, TruthMaps, siderosis_rows, truth_rows
from qsmcmb.typing import Report

__all__ = (
    "build_phantom",
    "build_sessions",
    "checksum_of",
    "lesions_of",
)


def lesions_of(recipe: Recipe, anatomy: Anatomy | None = None) -> tuple[PhantomLesion, ...]:
    """Return the lesions of a recipe.

    Parameters
    ----------
    recipe : Recipe
        The phantom.
    anatomy : Anatomy, optional
        The recipe's, where it is at hand; it says where lesions may lie.

    Returns
    -------
    tuple of PhantomLesion
        Lesions, head mm; the same at each call.

    Raises
    ------
    ConfigError
        The lesions do not fit as far apart as the recipe asks.

    Examples
    --------
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> len(lesions_of(read_recipe("sphere")))
    6
    """
    anatomy = anatomy or make_anatomy(recipe)
    rng = np.random.default_rng([recipe.seed, 3])
    return draw_lesions(recipe.lesions, anatomy.lesion_positions(), rng, anatomy.iron_nuclei())


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
    session : PhantomSession
        Scan with noise, and the truth of its lesions.
    maps : TruthMaps
        Truth on the scan's grid.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from qsmcmb.phantoms.recipe import LesionRecipe, read_recipe
    >>> small = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0, lesions=LesionRecipe())
    >>> [session.label for session, _ in build_sessions(small)]
    ['3T']
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
    """Simulate all sessions of a recipe.

    Parameters
    ----------
    recipe : Recipe
        From `read_recipe`.
    report : callable, optional
        Progress, called with (session, "simulate", seconds); 0 seconds when it starts.

    Returns
    -------
    list of PhantomSession
        Scans with noise, and the truth of their lesions.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from qsmcmb.phantoms.recipe import LesionRecipe, read_recipe
    >>> small = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0, lesions=LesionRecipe())
    >>> build_phantom(small)[0].scan.phase_rad.shape
    (4, 10, 10, 10)
    """
    return [session for session, _ in build_sessions(recipe, report=report)]


def checksum_of(recipe: Recipe) -> str:
    """Return the checksum of the truth of all sessions, rounded to what the tables show.

    Of lesions of an irregular shape it holds each body, too.

    Parameters
    ----------
    recipe : Recipe
        The phantom.

    Returns
    -------
    str
        Checksum, sha256, 64 hexadecimal digits.

    Examples
    --------
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> recipe = read_recipe("sphere")
    >>> checksum_of(recipe) == recipe.checksum
    True
    """
    anatomy = make_anatomy(recipe)
    lesions = lesions_of(recipe, anatomy)
    digest = hashlib.sha256()
    for tube in recipe.tubes:
        digest.update(repr(tube).encode())
    for protocol in recipe.sessions:
        for row in truth_rows(lesions, pose_of(recipe, protocol)):
            # The column that was added last follows from the bodies.
            digest.update(_line(row[:-1]))
        for area in siderosis_rows(anatomy.siderosis(), pose_of(recipe, protocol)):
            digest.update(_line(area))
    for ball in (b for lesion in lesions if lesion.form for b in lesion.balls):
        digest.update(_line((*ball.centre_mm, *ball[1:3], *ball[5:])))
    return digest.hexdigest()


def _line(values: tuple[float | str, ...]) -> bytes:
    """Return values as a line of a table, as they are hashed."""
    return ("\t".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values) + "\n").encode()
