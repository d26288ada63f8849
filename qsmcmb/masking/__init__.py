"""The brain mask, from magnitude and phase quality; lesions are kept inside, and the user's own mask always wins.

============== =============================================================================
method         idea
============== =============================================================================
magnitude      smoothed magnitude above Otsu's threshold or a percentile
phase_quality  local coherence of the phase
combined       magnitude AND (or OR) phase quality
============== =============================================================================

All cut the scalp off by opening, keep the largest part, close gaps and holes at lesions, and may shave voxels without
signal off the surface. docs/explanation/masking.md has how many lesions each keeps.
"""

__all__ = ("METHODS",)

METHODS = {
    "magnitude": "qsmcmb.masking.brain:mask_magnitude",
    "phase_quality": "qsmcmb.masking.brain:mask_phase_quality",
    "combined": "qsmcmb.masking.brain:mask_combined",
}
