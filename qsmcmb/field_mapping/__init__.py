"""Phase of all echoes -> total field in Hz with its standard deviation.

========== ============================================================ ===================================
method     idea                                                         reference
========== ============================================================ ===================================
weighted   a line, weights magnitude^2; the phase offset is removed     Robinson 2017, 10.1002/nbm.3601
           before (`offset.remove_phase_offset`), or free
nonlinear  decaying complex signal by Gauss-Newton, from the line;      Liu 2013, 10.1002/mrm.24272
           later echoes count less where dephasing bends the phase
========== ============================================================ ===================================

Before: `preparation.prepare_phase` looks for slices of alternating sign and a bipolar readout, `offset` removes
the phase at TE = 0 of combined data, `coils.combine_coils` combines channels; after: `phase_sign` doubts an
inverted sign.
"""

__all__ = ("METHODS", "PREPARATION")

METHODS = {
    "weighted": "qsmcmb.field_mapping.weighted:fit_weighted",
    "nonlinear": "qsmcmb.field_mapping.nonlinear:fit_nonlinear",
}
PREPARATION = {"checks": "qsmcmb.field_mapping.preparation:prepare_phase"}
