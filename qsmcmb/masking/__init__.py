"""The brain mask, from magnitude and phase quality; lesions stay inside, and the user's own mask always wins.

============== =============================================================================
method         idea
============== =============================================================================
magnitude      smoothed magnitude above Otsu's threshold or a percentile
phase_quality  local coherence of the phase
combined       magnitude AND (or OR) phase quality
deepbet        a trained network, an optional package
============== =============================================================================

The first three cut the scalp off by opening, retain the largest component, close gaps and holes at lesions, and may
shave voxels without signal off the surface. docs/explanation/masking.md says how many lesions lie inside the mask of
each.
"""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS", "METHODS", "PACKAGES")

METHODS = {
    "magnitude": "qsmcmb.masking.brain:mask_magnitude",
    "phase_quality": "qsmcmb.masking.brain:mask_phase_quality",
    "combined": "qsmcmb.masking.brain:mask_combined",
    "deepbet": "qsmcmb.masking.learned:mask_deepbet",
}
DEFAULT = "combined"
"""Method of the pipeline, of the Python function and of the command where none is named."""
PACKAGES = {"deepbet": "deepbet"}
"""Package, and extra of the same name, by method that needs one."""

DESCRIPTIONS = {
    "magnitude": Description(
        name="magnitude mask",
        sentence="The brain was found with a magnitude mask, the largest bright object after opening, with "
        "its gaps and holes closed.",
        references=(refs.OTSU_1979,),
    ),
    "phase_quality": Description(
        name="phase-quality mask",
        sentence="The brain was found with a phase-quality mask, the largest object of coherent phase "
        "after opening, with its gaps and holes closed.",
        references=(refs.HAGBERG_2022,),
    ),
    "combined": Description(
        name="combined mask",
        sentence="The brain was found with a combined mask of bright voxels and coherent phase, opened, "
        "with its gaps and holes closed.",
        references=(refs.OTSU_1979, refs.HAGBERG_2022),
    ),
    "deepbet": Description(
        name="deepbet",
        sentence="The brain was found with the network deepbet, joined by bright and coherent voxels beside it, with "
        "gaps and holes closed.",
        references=(refs.FISCH_2023, refs.OTSU_1979, refs.HAGBERG_2022),
    ),
}
