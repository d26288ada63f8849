"""The brain mask, from magnitude and phase quality; lesions are kept inside.

============== =============================================================================
method         idea
============== =============================================================================
magnitude      Otsu's threshold on the smoothed magnitude, scalp cut off by opening
phase_quality  local coherence of the phase, scalp cut off by opening
combined       magnitude AND phase quality, scalp cut off, holes at lesions closed again
============== =============================================================================
"""

METHODS = {
    "magnitude": "qsmcmb.masking.brain:mask_magnitude",
    "phase_quality": "qsmcmb.masking.brain:mask_phase_quality",
    "combined": "qsmcmb.masking.brain:mask_combined",
}
