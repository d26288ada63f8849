"""Side and territory of a lesion in the brain."""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS")

DESCRIPTIONS = {
    "boxes": Description(
        name="MNI template",
        sentence="Side and territory of each lesion were assigned by regions of the MNI template, whose bounding box "
        "was laid over that of the brain.",
        references=(refs.FONOV_2011,),
    ),
}
DEFAULT = "boxes"
"""The one rule there is."""
