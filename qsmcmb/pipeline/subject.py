"""One scan from wrapped phase to lesions: read it like a methods section."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from qsmcmb.core.software import software_versions
from qsmcmb.core.validate import check_mask
from qsmcmb.field_mapping.head import map_field
from qsmcmb.field_mapping.offset import remove_phase_offset
from qsmcmb.field_mapping.phase_sign import sign_looks_inverted
from qsmcmb.field_mapping.preparation import prepare_phase
from qsmcmb.masking.brain import mask_brain
from qsmcmb.microbleeds.calibration.k_space_spectrum import find_k_space_windows
from qsmcmb.microbleeds.detection.candidates import find_candidates
from qsmcmb.microbleeds.detection.limit_map import map_detection_limit
from qsmcmb.microbleeds.measure import Targets, measure_lesions
from qsmcmb.microbleeds.results.explanation import explain_lesion
from qsmcmb.microbleeds.results.explanation_records import LesionRecord
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import GreScan, Microbleed, Provenance
from qsmcmb.pipeline.config import STAGES, Config, make_config
from qsmcmb.pipeline.inversion import Inversion, PhaseToField, local_field_of
from qsmcmb.pipeline.lesions import describe_lesions, measure_map_sums
from qsmcmb.relaxometry.r2star import map_r2star
from qsmcmb.susceptibility_weighting.swi import make_swi, project_minimum
from qsmcmb.typing import BoolArray, FloatArray, IntArray
from qsmcmb.units import hz_to_ppm
from qsmcmb.unwrapping.head import unwrap
from qsmcmb.unwrapping.romeo import unwrap_volume
from qsmcmb.unwrapping.singularities import find_singularities

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
NAMED_BY_READER_MM = 4.0
"""Distance, mm, within which a candidate is the lesion that a reader has named: a point is good to about 2 mm."""
LARGEST_BRAIN_LITRES = 2.1
SIGNAL_PART = 0.3
"""Part of the brain's median magnitude below which phase is noise."""


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
    chi_mask: BoolArray
    chi_ppm: FloatArray
    r2star_hz: FloatArray | None
    swi: FloatArray
    mip_min: FloatArray
    lesions: tuple[Microbleed, ...]
    lesion_labels: IntArray
    detection_limit_ppm_mm3: FloatArray
    explanations: tuple[LesionRecord, ...]
    """For each lesion what its number rests on."""
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
    # First of all: the version is that of the code that starts, whatever is committed meanwhile.
    provenance = provenance_of(scan, config)
    clock = Clock(scan.name, report)
    scan = _prepared(scan, config, clock)
    job = _Job(scan, config, clock)
    phase = _map_total_field(job, mask)
    local = None
    if not job.config.replaced("background"):
        with job.clock.stage("background"):
            local = local_field_of(phase, scan, job.config)
    with job.clock.stage("invert"):
        inversion = Inversion(scan, job.config, phase, local)
        chi_ppm = inversion.of_scan()
    r2star_hz = _map_decay(job, phase.mask)
    with job.clock.stage("swi"):
        swi = make_swi(scan.phase_rad, scan.magnitude, phase.mask, scan.grid)
        mip_min = project_minimum(swi, scan.grid)
    targets = Targets.of_readers(np.zeros((0, 3)) if points_mm is None else points_mm, kinds)
    if points_mm is None or detect:
        targets = _with_candidates(job, targets, chi_ppm, inversion.mask)
    with job.clock.stage("acquisition"):
        acquisition = find_k_space_windows(scan, phase.mask)
    fields = ScanFields(
        field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask, r2star_hz=r2star_hz
    )
    local_field_hz = inversion.local_field_hz(chi_ppm)
    with job.clock.stage("quantify"):
        measured = measure_lesions(scan, targets, fields, acquisition)
        sums = measure_map_sums(
            measured.lesions, scan, chi_ppm, response=inversion.of_sources, mask=inversion.mask
        )
        limit_ppm_mm3 = map_detection_limit(
            hz_to_ppm(local_field_hz, scan.b0_tesla), inversion.mask, scan.grid,
            field_sd_ppm=hz_to_ppm(phase.field_sd_hz, scan.b0_tesla), lesions=measured.lesions,
        )  # fmt: skip
    with job.clock.stage("anatomy"):
        lesions = describe_lesions(measured, scan, phase.mask, map_sums=sums, limit_ppm_mm3=limit_ppm_mm3)
        rows = zip(lesions, measured.fitted, sums, strict=True)
        explanations = tuple(explain_lesion(m, fitted, total).record for m, fitted, total in rows)
    warnings = (
        *scan.warnings,
        *_echo_warnings(scan.n_echoes),
        *phase.warnings,
        *_sign_warnings(chi_ppm, r2star_hz, inversion.mask, scan),
    )
    return ScanResult(
        scan=scan,
        mask=phase.mask,
        reliable_mask=phase.mask & (phase.field_sd_hz < UNRELIABLE_SD_HZ),
        total_field_hz=phase.total_field_hz,
        field_sd_hz=phase.field_sd_hz,
        local_field_hz=local_field_hz,
        chi_mask=inversion.mask,
        chi_ppm=chi_ppm,
        r2star_hz=r2star_hz,
        swi=swi,
        mip_min=mip_min,
        lesions=lesions,
        lesion_labels=measured.labels,
        detection_limit_ppm_mm3=limit_ppm_mm3,
        explanations=explanations,
        provenance=provenance,
        warnings=warnings,
        seconds=job.clock.seconds,
    )


class _Job(NamedTuple):
    scan: GreScan
    config: Config
    clock: Clock


def map_scan_field(
    scan: GreScan,
    config: Config | None = None,
    *,
    mask: BoolArray | None = None,
    report: Report | None = None,
) -> PhaseToField:
    """Return mask and total field of a scan: all that a lesion fit needs."""
    config, clock = config or make_config(), Clock(scan.name, report)
    return _map_total_field(_Job(_prepared(scan, config, clock), config, clock), mask)


def _prepared(scan: GreScan, config: Config, clock: Clock) -> GreScan:
    """Return the scan with faults of its phase reported, and corrected where the configuration says so."""
    chosen = config["prepare"].options
    with clock.stage("prepare"):
        found = prepare_phase(scan.phase_rad, scan.magnitude, te_s=scan.te_s, **chosen)
    return replace(scan, phase_rad=found.phase_rad, warnings=(*scan.warnings, *found.warnings))


def _map_total_field(job: _Job, mask: BoolArray | None) -> PhaseToField:
    scan, config, clock = job
    made = mask is None
    with clock.stage("mask"):
        if mask is None:
            chosen = config["mask"]
            mask = mask_brain(
                scan.magnitude, scan.phase_rad, scan.grid, method=chosen.method, options=chosen.options
            )
        check_mask(mask, scan.grid)
        brain = mask
    with clock.stage("unwrap"):
        clean = remove_phase_offset(
            scan.phase_rad, scan.magnitude, brain, scan.grid, te_s=scan.te_s,
            unwrapper=lambda p, m: unwrap_volume(p, m, brain),
        )  # fmt: skip
        chosen = config["unwrap"]
        unwrapped_rad = unwrap(
            clean.phase_rad, brain, scan.grid, method=chosen.method, magnitude=scan.magnitude, te_s=scan.te_s,
            options=chosen.options,
        )  # fmt: skip
    with clock.stage("fieldmap"):
        chosen = config["fieldmap"]
        fitted = map_field(
            unwrapped_rad, scan.magnitude, brain, scan.grid, te_s=scan.te_s, method=chosen.method,
            options=chosen.options,
        )  # fmt: skip
    warnings = _mask_warnings(brain, scan) if made else ()
    warnings += _singularity_warnings(clean.phase_rad[0], brain, scan)
    return PhaseToField(brain, clean.offset_rad, fitted.total_field_hz, fitted.field_sd_hz, warnings)


def _mask_warnings(brain: BoolArray, scan: GreScan) -> tuple[str, ...]:
    litres = float(brain.sum()) * scan.grid.voxel_volume_mm3 / 1e6
    if litres <= LARGEST_BRAIN_LITRES:
        return ()
    return (
        f"the mask holds {litres:.1f} L, more than a brain: scalp or neck is in it; give a mask (--mask)",
    )


def _singularity_warnings(phase_rad: FloatArray, brain: BoolArray, scan: GreScan) -> tuple[str, ...]:
    magnitude = scan.magnitude[0]
    bright = brain & (magnitude > SIGNAL_PART * np.median(magnitude[brain]))
    if not bright.any():
        return ()
    found = find_singularities(phase_rad, bright, scan.grid)
    if not found.n_lines:
        return ()
    return (
        f"phase has {found.n_lines} fringe lines with open ends, up to {found.longest_mm:.0f} mm long: no unwrapping "
        "is right there; combine the channels anew (MCPC-3D-S) or take the voxels around the lines out of the mask",
    )


def _sign_warnings(
    chi_ppm: FloatArray, r2star_hz: FloatArray | None, mask: BoolArray, scan: GreScan
) -> tuple[str, ...]:
    if r2star_hz is None or not sign_looks_inverted(chi_ppm, r2star_hz, mask, scan.grid):
        return ()
    return (
        "where R2* is highest the tissue is diamagnetic: the phase sign may be inverted (--phase-sign -1)",
    )


def _map_decay(job: _Job, brain: BoolArray) -> FloatArray | None:
    with job.clock.stage("r2star"):
        if job.scan.n_echoes < 2:
            return None
        chosen = job.config["r2star"]
        return map_r2star(
            job.scan.magnitude, brain, te_s=job.scan.te_s, method=chosen.method, options=chosen.options
        )


def _with_candidates(job: _Job, readers: Targets, chi_ppm: FloatArray, mask: BoolArray) -> Targets:
    """Return a reader's points and the detector's candidates that no reader has named."""
    grid = job.scan.grid
    with job.clock.stage("detect"):
        found = find_candidates(chi_ppm, job.scan.magnitude, mask, grid)
        where = grid.to_world(np.array([c.voxel for c in found]).reshape(-1, 3))
        known = readers.points_mm
        new = [
            i for i, p in enumerate(where)
            if not len(known) or np.linalg.norm(known - p, axis=1).min() > NAMED_BY_READER_MM
        ]  # fmt: skip
    return Targets(
        points_mm=np.concatenate([known, where[new]]),
        kinds=[*readers.kinds, *[None] * len(new)],
        scores=[*readers.scores, *[found[i].score for i in new]],
        n_readers=readers.n_readers,
    )


def _echo_warnings(echoes: int) -> list[str]:
    if echoes == 1:
        return ["one echo: R2* is n/a, the receive phase is not removed"]
    if echoes == 2:
        return ["two echoes: R2* and field SD have no residual to check them"]
    return []


def provenance_of(scan: GreScan, config: Config, stages: Sequence[str] = tuple(STAGES)) -> Provenance:
    """Return sources, every stage's method with all its options, and the software."""
    steps = tuple((stage, config.record(stage)) for stage in stages)
    return Provenance(scan.sources, steps, software_versions())
