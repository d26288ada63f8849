"""Susceptibility-weighted images and their minimum-intensity projection."""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS", "METHODS")

METHODS = {
    "homodyne": "qsmcmb.susceptibility_weighting.swi:make_swi",
}
DEFAULT = "homodyne"
"""Method of the pipeline, of the Python function and of the command where none is named."""

DESCRIPTIONS = {
    "homodyne": Description(
        name="homodyne filter",
        sentence="A susceptibility-weighted image was made of the longest echo, or as the mean over all, with a "
        "homodyne filter of the phase, and projected to its minimum over slabs.",
        references=(refs.HAACKE_2004, refs.DENK_2010),
    ),
}
