"""Helpers of the commands of single stages: options bound to signatures, and the record beside each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, BoolArray, FloatArray


class Stage(NamedTuple):
    """Method of a stage with the options that the user set."""

    name: str
    method: str
    options: dict[str, Any]
    record: dict[str, Any]


def bind_stage(name: str, method: str, settings: Sequence[str] | None) -> Stage:
    """Check method and options before any file is read; the record holds all options, defaults written out."""
    from qsmcmb.pipeline.config import make_config, parse_set

    options = parse_set(list(settings or []))
    config = make_config({name: {"method": method, **options}})
    return Stage(name, method, options, config.bound(name))


def write_stage(path: Path, data: AnyArray, grid: Grid, *, units: str, stage: Stage | None = None) -> None:
    """Write an image with its record."""
    from qsmcmb.core.software import software_versions
    from qsmcmb.io.derivatives import software_record, write_single

    record: dict[str, Any] = {"Units": units} if units else {}
    if stage:
        record["Steps"] = {stage.name: stage.record}
    write_single(path, data, grid, {**record, **software_record(software_versions())})


def mask_or_made(mask: Path | None, magnitude: FloatArray, phase_rad: FloatArray, grid: Grid) -> BoolArray:
    """Return the user's mask, or one made from the scan."""
    from qsmcmb.io.masks import load_mask
    from qsmcmb.masking.brain import mask_brain

    return load_mask(mask, grid) if mask else mask_brain(magnitude, phase_rad, grid)


def relative_sd(magnitude: FloatArray) -> FloatArray:
    """Return the SD of a field up to a factor: one over the echoes' magnitude, infinite without signal."""
    import numpy as np

    combined = np.sqrt((magnitude.astype(np.float32) ** 2).sum(axis=0))
    return np.divide(1, combined, out=np.full(combined.shape, np.inf, np.float32), where=combined > 0)
