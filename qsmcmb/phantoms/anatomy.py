"""Tissue of a phantom at any point of the head: susceptibility, signal and decay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from qsmcmb.phantoms.siderosis import SiderosisArea
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("Anatomy", "NucleusPair", "Tissue")

AIR_PPM = 9.4
"""Susceptibility of air against water, ppm: 0.36 against -9.05 (Schenck 1996, doi:10.1118/1.597854)."""


class Tissue(NamedTuple):
    """Tissue at some points.

    Parameters
    ----------
    chi_ppm : ndarray of shape (...), float32
        Susceptibility, ppm; CSF is 0.
    signal : ndarray of shape (...), float32
        Signal at TE 0, 0 to 1.
    r2star_hz : ndarray of shape (...), float32
        R2* at 3 T, 1/s, > 0.
    brain : ndarray of shape (...), bool
        Whether the point lies in the brain.

    Examples
    --------
    >>> from qsmcmb.phantoms.anatomies import make_anatomy
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> import numpy as np
    >>> make_anatomy(read_recipe("sphere")).tissue(np.zeros((3, 1))).brain.tolist()
    [True]
    """

    chi_ppm: FloatArray
    signal: FloatArray
    r2star_hz: FloatArray
    brain: BoolArray


class NucleusPair(NamedTuple):
    """A deep nucleus that holds iron, on both sides.

    Parameters
    ----------
    centres_mm : ndarray of shape (2, 3)
        Its centre on the left and on the right, head mm.
    radius_mm : float
        Radius of the largest ball that fits in it, mm.

    Examples
    --------
    >>> from qsmcmb.phantoms.anatomies import make_anatomy
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> pair = make_anatomy(read_recipe("demo")).iron_nuclei()[0]
    >>> bool(pair.centres_mm[0, 0] < 0 < pair.centres_mm[1, 0])
    True
    """

    centres_mm: FloatArray
    radius_mm: float


class Anatomy(ABC):
    """The tissue of a phantom, to be sampled at any point.

    Examples
    --------
    >>> from qsmcmb.phantoms.anatomies import make_anatomy
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> anatomy = make_anatomy(read_recipe("sphere"))
    >>> len(anatomy.veins()[0])
    0
    """

    @abstractmethod
    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return the tissue at points of the head.

        Parameters
        ----------
        head_mm : ndarray of shape (3, ...)
            Points, head mm.

        Returns
        -------
        Tissue
            Arrays of the points' shape.

        Examples
        --------
        >>> import numpy as np
        >>> from qsmcmb.phantoms.anatomies import make_anatomy
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> make_anatomy(read_recipe("sphere")).tissue(np.full((3, 1), 90.0)).signal.tolist()
        [0.0]
        """

    @abstractmethod
    def territory(self, head_mm: FloatArray) -> IntArray:
        """Return the territory of points of the brain.

        Parameters
        ----------
        head_mm : ndarray of shape (3, ...)
            Points, head mm.

        Returns
        -------
        ndarray of shape (...), int32
            1 lobar, 2 deep, 3 infratentorial; 0 where that means nothing.

        Examples
        --------
        >>> import numpy as np
        >>> from qsmcmb.phantoms.anatomies import make_anatomy
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> make_anatomy(read_recipe("sphere")).territory(np.zeros((3, 1))).tolist()
        [0]
        """

    @abstractmethod
    def lesion_positions(self) -> FloatArray:
        """Return positions at which lesions may lie.

        Returns
        -------
        ndarray of shape (n, 3)
            Points, head mm.

        Examples
        --------
        >>> import numpy as np
        >>> from qsmcmb.phantoms.anatomies import make_anatomy
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> make_anatomy(read_recipe("sphere")).lesion_positions().shape[1]
        3
        """

    @abstractmethod
    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return points along the veins.

        Returns
        -------
        points_mm : ndarray of shape (n, 3)
            Points, head mm.
        volumes_mm3 : ndarray of shape (n,)
            Volume of vein that each stands for, mm3.

        Examples
        --------
        >>> import numpy as np
        >>> from qsmcmb.phantoms.anatomies import make_anatomy
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> make_anatomy(read_recipe("sphere")).veins()[1].shape
        (0,)
        """

    def iron_nuclei(self) -> tuple[NucleusPair, ...]:
        """Return the deep nuclei that hold iron, where deposits of more may lie.

        Returns
        -------
        tuple of NucleusPair
            Nuclei; none but in heads.

        Examples
        --------
        >>> from qsmcmb.phantoms.anatomies import make_anatomy
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> make_anatomy(read_recipe("sphere")).iron_nuclei()
        ()
        """
        return ()

    def siderosis(self) -> tuple[SiderosisArea, ...]:
        """Return the areas of superficial siderosis.

        Returns
        -------
        tuple of SiderosisArea
            Areas; none but in heads with structure in their tissue.

        Examples
        --------
        >>> from qsmcmb.phantoms.anatomies import make_anatomy
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> make_anatomy(read_recipe("sphere")).siderosis()
        ()
        """
        return ()
