"""Side and territory of a lesion in the brain."""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS")

DESCRIPTIONS = {
    "template": Description(
        name="MNI template",
        sentence="Side, territory and regions of each lesion were taken from a region map of the MNI template, "
        "registered to the scan by mutual information (affine) and demons (deformable).",
        references=(refs.FONOV_2011, refs.MATTES_2003),
    ),
    "segmentation": Description(
        name="segmentation",
        sentence="Side, territory and regions of each lesion were taken from a segmentation that the user gave, white "
        "matter by its distances to cortex and ventricles.",
        references=(refs.FISCHL_2002, refs.DESIKAN_2006, refs.KIM_2008),
    ),
}
DEFAULT = "template"
"""Where the names come from, unless the user gives a segmentation."""
