"""The stages in the order in which they run: the one list that configuration, provenance, progress and pages read.

Importing it loads no method: families are dictionaries of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qsmcmb import (
    anatomy,
    background_removal,
    dipole_inversion,
    field_mapping,
    masking,
    registration,
    relaxometry,
    susceptibility_weighting,
    unwrapping,
)  # fmt: skip
from qsmcmb.core.methods import Description
from qsmcmb.microbleeds.results.references import BURDEN, BURDEN_METHODS, DETECTION, PARTS

__all__ = ["ALL_STAGES", "POINT_STAGES", "SCAN_STAGES", "SHARES", "SUBJECT_STAGES", "Stage"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the work on a scan, a subject or a phantom.

    Parameters
    ----------
    name : str
        Name in progress, log, provenance and, where there is one, of the configuration's table.
    summary : str
        What the stage does, in a few words.
    share : float
        Duration, s: median over the three scans of the demonstration (1.5 mm) on two cores; of `detect` and
        `longitudinal`, which it leaves out, an estimate. Only ratios matter, to say how long is left.
    methods : mapping, optional
        ``module:function`` by method; a stage with methods has a table in the configuration.
    default : str, optional
        Method where the configuration names none.
    descriptions : mapping, optional
        Sentence and references by the method that the provenance names.
    at_points : bool, optional
        Whether lesions at given points need it, when no map is made.

    Examples
    --------
    >>> [stage.default for stage in SCAN_STAGES if stage.name == "invert"]
    ['huber']
    """

    name: str
    summary: str
    share: float
    methods: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    descriptions: Mapping[str, Description] = field(default_factory=dict)
    at_points: bool = False


SCAN_STAGES = (
    Stage(
        name="prepare",
        summary="faults of the phase are reported, and corrected on demand",
        share=0.3,
        methods=field_mapping.PREPARATION,
        default=field_mapping.PREPARATION_DEFAULT,
        descriptions=field_mapping.PREPARATION_DESCRIPTIONS,
        at_points=True,
    ),
    Stage(
        name="mask",
        summary="brain mask, with lesions at the cortex inside",
        share=0.2,
        methods=masking.METHODS,
        default=masking.DEFAULT,
        descriptions=masking.DESCRIPTIONS,
        at_points=True,
    ),
    Stage(
        name="unwrap",
        summary="receive phase removed, phase unwrapped",
        share=0.5,
        methods=unwrapping.METHODS,
        default=unwrapping.DEFAULT,
        descriptions=unwrapping.DESCRIPTIONS,
        at_points=True,
    ),
    Stage(
        name="fieldmap",
        summary="total field over the echoes, Hz, with its SD",
        share=0.5,
        methods=field_mapping.METHODS,
        default=field_mapping.DEFAULT,
        descriptions=field_mapping.DESCRIPTIONS,
        at_points=True,
    ),
    Stage(
        name="background",
        summary="local field, Hz",
        share=1.8,
        methods=background_removal.METHODS,
        default=background_removal.DEFAULT,
        descriptions=background_removal.DESCRIPTIONS,
    ),
    Stage(
        name="invert",
        summary="susceptibility, ppm, against the mean over the brain",
        share=8.8,
        methods=dipole_inversion.METHODS,
        default=dipole_inversion.DEFAULT,
        descriptions=dipole_inversion.DESCRIPTIONS,
    ),
    Stage(
        name="r2star",
        summary="R2*, 1/s; not for a single echo",
        share=0.1,
        methods=relaxometry.METHODS,
        default=relaxometry.DEFAULT,
        descriptions=relaxometry.DESCRIPTIONS,
    ),
    Stage(
        name="swi",
        summary="susceptibility-weighted image and its minimum projection",
        share=0.3,
        methods=susceptibility_weighting.METHODS,
        default=susceptibility_weighting.DEFAULT,
        descriptions=susceptibility_weighting.DESCRIPTIONS,
    ),
    Stage(
        name="detect",
        summary="candidates on map and magnitude",
        share=1.0,
        default="contrast",
        descriptions=DETECTION,
    ),
    Stage(
        name="acquisition",
        summary="acquired part of k-space, filter and noise, from the image",
        share=0.6,
        at_points=True,
    ),
    Stage(
        name="quantify",
        summary="total susceptibility, ppm mm3, and the detection limit",
        share=12.8,
        default="complex_fit",
        descriptions=PARTS,
        at_points=True,
    ),
    Stage(
        name="anatomy",
        summary="side and territory",
        share=0.7,
        default=anatomy.DEFAULT,
        descriptions=anatomy.DESCRIPTIONS,
    ),
    Stage(
        name="burden",
        summary="counts, burden and pattern; what conventional imaging would have shown",
        share=1.0,
        methods=BURDEN_METHODS,
        default="sum",
        descriptions=BURDEN,
    ),
)
"""Stages of one scan."""
POINT_STAGES: tuple[str, ...] = tuple(stage.name for stage in SCAN_STAGES if stage.at_points)
"""Stages that lesions at given points need, where no map is made."""
SUBJECT_STAGES = (
    Stage(
        name="longitudinal",
        summary="sessions registered, lesions matched, changes judged",
        share=10.0,
        default="rigid",
        descriptions={"rigid": registration.REGISTRATION},
    ),
    Stage(name="report", summary="page of a subject", share=8.0),
)
"""Stages that follow once all sessions of a subject are on disk."""
ALL_STAGES = (Stage(name="simulate", summary="scan of a phantom", share=9.2), *SCAN_STAGES, *SUBJECT_STAGES)
SHARES: dict[str, float] = {stage.name: stage.share for stage in ALL_STAGES}
"""Duration of each stage, s."""
