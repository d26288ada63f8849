"""Phase of all echoes -> total field in Hz with its standard deviation.

========== ============================================================
method     idea
========== ============================================================
weighted   a line, weights magnitude^2; the phase offset is removed
           before (`core.receive_phase`), or free
nonlinear  decaying complex signal by Gauss-Newton, from the line;
           later echoes count less where dephasing bends the phase
========== ============================================================

Before: `preparation.prepare_phase` looks for slices of alternating sign and a bipolar readout, `core.receive_phase`
removes the phase at TE = 0 of combined data, `coils.combine_coils` combines channels; after: `phase_sign` warns of an
inverted sign.
"""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = (
    "DEFAULT",
    "DESCRIPTIONS",
    "METHODS",
    "OFFSET_REMOVAL",
    "PREPARATION",
    "PREPARATION_DEFAULT",
    "PREPARATION_DESCRIPTIONS",
)

METHODS = {
    "weighted": "qsmcmb.field_mapping.weighted:fit_weighted",
    "nonlinear": "qsmcmb.field_mapping.nonlinear:fit_nonlinear",
}
DEFAULT = "nonlinear"
"""Method of the pipeline, of the Python function and of the command where none is named."""

DESCRIPTIONS = {
    "weighted": Description(
        name="weighted line",
        sentence="The field was fitted to the unwrapped phase as a weighted line over the echoes, with the "
        "squared magnitude as weight.",
        references=(refs.ROBINSON_2017,),
    ),
    "nonlinear": Description(
        name="Gauss-Newton",
        sentence="The field was fitted to the complex signal of all echoes by Gauss-Newton steps, with "
        "amplitude and decay free.",
        references=(refs.LIU_2013,),
    ),
}

PREPARATION = {"checks": "qsmcmb.field_mapping.preparation:prepare_phase"}
PREPARATION_DEFAULT = "checks"
PREPARATION_DESCRIPTIONS = {
    "checks": Description(
        name="bipolar readout",
        sentence="The phase was searched for slices of alternating sign and for a bipolar readout.",
        references=(refs.LU_2008,),
    ),
}
OFFSET_REMOVAL = Description(
    name="MCPC-3D-S",
    sentence="The receive phase was estimated from the first two echoes by MCPC-3D-S and taken off all echoes.",
    references=(refs.ECKSTEIN_2018,),
)
"""Removal of the phase at TE = 0 before unwrapping, wherever there are two echoes or more."""
