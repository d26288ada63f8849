"""One scan from wrapped phase to lesions: read it like a methods section."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from qsmcmb.anatomy.territory import assign_territory
from qsmcmb.background_removal.head import remove_background
from qsmcmb.core.validate import check_mask
from qsmcmb.dipole_inversion.head import invert
from qsmcmb.field_mapping.head import map_field
from qsmcmb.field_mapping.offset import remove_phase_offset
from qsmcmb.field_mapping.weighted import noise_from_magnitude
from qsmcmb.masking.brain import mask_brain
from qsmcmb.microbleeds.candidates import find_candidates
from qsmcmb.microbleeds.quantify import FieldData, quantify_lesions
from qsmcmb.model import GreScan, Microbleed, Provenance
from qsmcmb.pipeline.config import STAGES, Config, make_config
from qsmcmb.pipeline.lesions import correct_sums, with_territories
from qsmcmb.relaxometry.r2star import map_r2star
from qsmcmb.susceptibility_weighting.swi import make_swi, project_minimum
from qsmcmb.typing import BoolArray, FloatArray, IntArray
from qsmcmb.units import hz_to_ppm
from qsmcmb.unwrapping.head import unwrap
from qsmcmb.unwrapping.romeo import grow_region

Report = Callable[[str, str, float], None]
"""Called with (scan, stage, seconds): seconds are 0 when the stage starts."""

STEPS = (
    "mask",
    "unwrap",
    "fieldmap",
    "background",
    "invert",
    "r2star",
    "swi",
    "detect",
    "quantify",
    "anatomy",
)
UNRELIABLE_SD_HZ = 5.0


@dataclass
class Clock:
    """Reports stages and keeps their durations (for the log; results never hold times)."""

    name: str
    report: Report | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        if self.report:
            self.report(self.name, name, 0.0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        if self.report:
            self.report(self.name, name, self.seconds[name])


@dataclass(frozen=True)
class ScanResult:
    """Every intermediate of one scan; arrays on `scan.grid`."""

    scan: GreScan
    mask: BoolArray
    reliable_mask: BoolArray
    total_field_hz: FloatArray
    field_sd_hz: FloatArray
    local_field_hz: FloatArray
    chi_ppm: FloatArray
    r2star_hz: FloatArray | None
    swi: FloatArray
    mip_min: FloatArray
    lesions: tuple[Microbleed, ...]
    lesion_labels: IntArray
    provenance: Provenance
    warnings: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)


def run_scan(
    scan: GreScan,
    config: Config | None = None,
    *,
    mask: BoolArray | None = None,
    points_mm: FloatArray | None = None,
    kinds: Sequence[str | None] | None = None,
    detect: bool = False,
    report: Report | None = None,
) -> ScanResult:
    """Run one scan through the whole pipeline.

    Parameters
    ----------
    scan : GreScan
        Wrapped phase and magnitude.
    config : Config, optional
        Methods and options.
    mask : ndarray of bool, optional
        The user's mask; wins over masking.
    points_mm : ndarray of shape (n, 3), optional
        Lesions to quantify in place of the detector's, scanner RAS+ mm.
    kinds : sequence of str, optional
        What each point is, where known.
    detect : bool, optional
        With points: run the detector besides.
    report : callable, optional
        Progress.

    Returns
    -------
    ScanResult

    Raises
    ------
    InvalidInputError
        Any gate of the stages.
    """
    config = config or make_config()
    clock, warnings = Clock(scan.name, report), list(scan.warnings)
    te_s, grid = scan.te_s, scan.grid

    with clock.stage("mask"):
        if mask is None:
            chosen = config["mask"]
            mask = mask_brain(
                scan.magnitude, scan.phase_rad, grid, method=chosen.method, options=chosen.options
            )
        check_mask(mask, grid)
        brain = mask

    with clock.stage("unwrap"):
        clean = remove_phase_offset(
            scan.phase_rad, scan.magnitude, brain, grid, te_s=te_s,
            unwrapper=lambda p, m: grow_region(p[None], brain, magnitude=m[None], te_s=None, echo=0),
        )  # fmt: skip
        chosen = config["unwrap"]
        unwrapped_rad = unwrap(
            clean.phase_rad, brain, grid, method=chosen.method, magnitude=scan.magnitude, te_s=te_s,
            options=chosen.options,
        )  # fmt: skip

    with clock.stage("fieldmap"):
        chosen = config["fieldmap"]
        field_map = map_field(
            unwrapped_rad,
            scan.magnitude,
            brain,
            grid,
            te_s=te_s,
            method=chosen.method,
            options=chosen.options,
        )
        del unwrapped_rad
        reliable = brain & (field_map.field_sd_hz < UNRELIABLE_SD_HZ)

    with clock.stage("background"):
        chosen = config["background"]
        local = remove_background(
            field_map.total_field_hz, brain, grid, method=chosen.method, field_sd_hz=field_map.field_sd_hz,
            options=chosen.options,
        )  # fmt: skip

    with clock.stage("invert"):
        inverter = config["invert"]
        sd_ppm = hz_to_ppm(field_map.field_sd_hz, scan.b0_tesla)

        def inversion(field_ppm: FloatArray) -> FloatArray:
            return invert(
                field_ppm, local.mask, grid, method=inverter.method, field_sd_ppm=sd_ppm, options=inverter.options
            )

        chi_ppm = inversion(hz_to_ppm(local.local_field_hz, scan.b0_tesla))

    with clock.stage("r2star"):
        r2star_hz = None
        if len(te_s) > 1:
            chosen = config["r2star"]
            r2star_hz = map_r2star(
                scan.magnitude, brain, te_s=te_s, method=chosen.method, options=chosen.options
            )
        warnings += _echo_warnings(len(te_s))

    with clock.stage("swi"):
        swi = make_swi(scan.phase_rad, scan.magnitude, brain, grid)
        mip_min = project_minimum(swi, grid)

    data = FieldData(
        field_map.total_field_hz, clean.offset_rad, brain, float(noise_from_magnitude(scan.magnitude[0], brain)),
        chi_ppm, r2star_hz,
    )  # fmt: skip
    readers = np.zeros((0, 3)) if points_mm is None else np.asarray(points_mm, dtype=float).reshape(-1, 3)
    points, names, scores = readers, list(kinds or [None] * len(readers)), [None] * len(readers)
    with clock.stage("detect"):
        if points_mm is None or detect:
            found = find_candidates(chi_ppm, scan.magnitude, local.mask, grid)
            where = grid.to_world(np.array([c.voxel for c in found]).reshape(-1, 3))
            new = [
                i
                for i, p in enumerate(where)
                if not len(readers) or np.linalg.norm(readers - p, axis=1).min() > 4
            ]
            points = np.concatenate([readers, where[new]])
            names += [None] * len(new)
            scores += [found[i].score for i in new]  # type: ignore[misc]

    with clock.stage("quantify"):
        measured = quantify_lesions(scan, points, data, kinds=names, scores=scores, n_readers=len(readers))
        measured = correct_sums(measured, scan, inversion, data, local.mask)

    with clock.stage("anatomy"):
        lesions = with_territories(
            measured.lesions, assign_territory([m.position_mm for m in measured.lesions], brain, grid)
        )

    return ScanResult(
        scan, brain, reliable, field_map.total_field_hz, field_map.field_sd_hz, local.local_field_hz, chi_ppm,
        r2star_hz, swi, mip_min, lesions, measured.labels, _provenance(scan, config), tuple(warnings),
        clock.seconds,
    )  # fmt: skip


def _echo_warnings(echoes: int) -> list[str]:
    if echoes == 1:
        return ["one echo: R2* is n/a, the receive phase is not removed"]
    if echoes == 2:
        return ["two echoes: R2* and field SD have no residual to check them"]
    return []


def _provenance(scan: GreScan, config: Config) -> Provenance:
    from qsmcmb import __version__

    steps = tuple((stage, config.bound(stage)) for stage in STAGES)
    return Provenance(scan.sources, steps, {"qsmcmb": __version__})
