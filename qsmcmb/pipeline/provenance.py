"""Provenance of a result: its inputs, the stages that ran with their options, and the software."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qsmcmb.anatomy.segmentation import Segmentation
from qsmcmb.core.software import software_versions
from qsmcmb.model import GreScan, Provenance
from qsmcmb.pipeline.config import Config
from qsmcmb.stages import SCAN_STAGES

__all__ = ["provenance_of"]


def provenance_of(
    scan: GreScan,
    config: Config,
    stages: Sequence[str] | None = None,
    *,
    mask_given: bool = False,
    detected: bool = True,
    segmentation: Segmentation | None = None,
) -> Provenance:
    """Return sources, every stage's method with all its options, and the software.

    Parameters
    ----------
    scan : GreScan
        Gives the sources and the number of echoes.
    config : Config
        Methods and options.
    stages : sequence of str, optional
        Stages that belong to the result; all by default.
    mask_given : bool, optional
        Whether the user's mask took the place of masking.
    detected : bool, optional
        Whether the detector ran.
    segmentation : Segmentation, optional
        The user's, where it gave side and territory.

    Returns
    -------
    Provenance
        A stage that did not run has the method ``"none"`` and the reason.

    Examples
    --------
    >>> import numpy as np
    >>> from qsmcmb.model import Grid
    >>> from qsmcmb.pipeline.config import make_config
    >>> volume = np.ones((1, 8, 8, 8), np.float32)
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> scan = GreScan(phase_rad=0 * volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> dict(provenance_of(scan, make_config()).steps)["r2star"]
    {'method': 'none', 'reason': 'one echo shows no decay'}
    """
    left_out = {
        "mask": "the mask was given" if mask_given else "",
        "r2star": _no_decay(scan),
        "detect": "" if detected else "the points were given",
    }
    steps: list[tuple[str, dict[str, Any]]] = []
    for stage in SCAN_STAGES:
        if (stages is not None and stage.name not in stages) or not stage.default:
            continue
        if left_out.get(stage.name):
            steps.append((stage.name, {"method": "none", "reason": left_out[stage.name]}))
        elif stage.name == "anatomy" and segmentation is not None:
            steps.append((stage.name, {"method": "segmentation", "file": segmentation.path.name}))
        elif stage.methods:
            steps.append((stage.name, config.record(stage.name)))
        else:
            steps.append((stage.name, {"method": stage.default}))
    return Provenance(
        sources=scan.sources, steps=tuple(steps), software=software_versions(),
        field_strength=(scan.b0_tesla, scan.b0_source), read_as=dict(scan.read_as),
    )  # fmt: skip


def _no_decay(scan: GreScan) -> str:
    """Return why there is no R2*; empty where there is one."""
    if scan.n_echoes < 2:
        return "one echo shows no decay"
    return "" if scan.decay_known else "the magnitudes of the echoes show no decay"
