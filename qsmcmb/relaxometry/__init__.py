"""R2* from the decay of the magnitude.

======== =====================================================
method   idea
======== =====================================================
weighted line through the logarithm, weights magnitude^2
arlo     Simpson's rule on the decay; needs even echo spacing
======== =====================================================
"""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS", "METHODS")

METHODS = {
    "weighted": "qsmcmb.relaxometry.r2star:fit_log_linear",
    "arlo": "qsmcmb.relaxometry.r2star:fit_arlo",
}
DEFAULT = "weighted"
"""Method of the pipeline, of the Python function and of the command where none is named."""

DESCRIPTIONS = {
    "weighted": Description(
        name="weighted log-linear fit",
        sentence="R2* was mapped by a weighted log-linear fit, with the squared magnitude as weight.",
        references=(refs.VERAART_2013,),
    ),
    "arlo": Description(
        name="ARLO",
        sentence="R2* was mapped with ARLO, by auto-regression of the signal's integral over evenly spaced "
        "echoes.",
        references=(refs.PEI_2015,),
    ),
}
