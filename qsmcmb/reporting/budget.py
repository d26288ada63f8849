"""The size of a page: what is drawn while there is room, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from qsmcmb.errors import ConfigError

__all__ = ["LIGHT_BYTES", "MAX_BYTES", "Budget", "Detail", "read_detail"]

Detail = Literal["full", "light"]
"""How much a page holds: all with the live viewer, or pictures alone."""
MAX_BYTES = 14_500_000
"""Size of a page with the viewer: some mail servers and archives take no more than 15 MB."""
LIGHT_BYTES = 1_900_000
"""Size of a page of pictures alone."""


def read_detail(word: str) -> Detail:
    """Return how much a page is to hold.

    Parameters
    ----------
    word : str
        Value of `--report`.

    Returns
    -------
    {"full", "light"}
        The same.

    Raises
    ------
    ConfigError
        Any other word.

    Examples
    --------
    >>> read_detail("light")
    'light'
    """
    if word == "full":
        return "full"
    if word == "light":
        return "light"
    raise ConfigError(f"--report {word!r}; expected full or light")


class Budget:
    """Bytes that are left of a page's size.

    Parameters
    ----------
    detail : {"full", "light"}
        How much the page holds.
    reserved : int, optional
        Bytes that text and scripts take.

    Examples
    --------
    >>> budget = Budget("light", reserved=1_899_990)
    >>> budget.draw(lambda: "12345678"), budget.draw(lambda: "12345678"), budget.left
    ('12345678', None, 2)
    """

    def __init__(self, detail: Detail, reserved: int = 0) -> None:
        self.is_light = detail == "light"
        self.left = (LIGHT_BYTES if self.is_light else MAX_BYTES) - reserved
        self._is_full = False

    def draw(self, picture: Callable[[], str]) -> str | None:
        """Draw a picture while there is room.

        Parameters
        ----------
        picture : callable
            Function that draws it and returns its text.

        Returns
        -------
        str or None
            The picture; None where it does not fit, and from then on for all.

        Examples
        --------
        >>> Budget("full").draw(lambda: "iVBOR")
        'iVBOR'
        """
        if self._is_full:
            return None
        text = picture()
        if len(text) > self.left:
            self._is_full = True
            return None
        self.left -= len(text)
        return text
