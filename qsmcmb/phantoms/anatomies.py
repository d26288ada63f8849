"""The anatomy that a recipe names."""

from __future__ import annotations

from qsmcmb.phantoms.anatomy import Anatomy
from qsmcmb.phantoms.head_anatomy import HeadAnatomy
from qsmcmb.phantoms.recipe import Recipe
from qsmcmb.phantoms.structured_anatomy import StructuredAnatomy
from qsmcmb.phantoms.water_anatomy import WaterAnatomy

__all__ = ("make_anatomy",)


def make_anatomy(recipe: Recipe) -> Anatomy:
    """Return the anatomy that a recipe names.

    Parameters
    ----------
    recipe : Recipe
        Of kind ``head`` or ``spheres``.

    Returns
    -------
    Anatomy
        The warped template, with structure in its tissue or uniform, or water with tubes.

    Examples
    --------
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> import numpy as np
    >>> make_anatomy(read_recipe("sphere")).tissue(np.zeros((3, 1))).chi_ppm.tolist()
    [0.0]
    """
    if recipe.kind != "head":
        return WaterAnatomy(recipe)
    return StructuredAnatomy(recipe) if recipe.is_structured else HeadAnatomy(recipe)
