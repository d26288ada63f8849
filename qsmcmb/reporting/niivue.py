"""The vendored viewer of volumes, NiiVue: its source as published, and its checksum."""

from __future__ import annotations

from qsmcmb.core.packaged import read_packaged

__all__ = ["NIIVUE_FILE", "NIIVUE_SHA256", "NIIVUE_VERSION", "niivue_source"]

NIIVUE_VERSION = "0.69.0"
"""Version of the npm package `@niivue/niivue`."""
NIIVUE_FILE = "vendored/niivue/niivue.umd.js"
"""The file below `qsmcmb/reporting`; it defines the global `niivue`."""
NIIVUE_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
"""Checksum of the file as its authors publish it."""


def niivue_source() -> str:
    """Return the source of the viewer, which defines the global `niivue`.

    Returns
    -------
    str
        JavaScript. It holds no end tag of a script, so it may stand inside an HTML page.

    Examples
    --------
    >>> source = niivue_source()
    >>> len(source) > 2_000_000, "</script" in source
    (True, False)
    """
    return read_packaged("qsmcmb.reporting", NIIVUE_FILE).decode()
