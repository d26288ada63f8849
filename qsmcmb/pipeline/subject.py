"""One scan from wrapped phase to lesions: read it like a methods section."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.anatomy.segmentation import Segmentation
from qsmcmb.background_removal.head import LocalField
from qsmcmb.core.methods import call_method
from qsmcmb.core.receive_phase import remove_phase_offset
from qsmcmb.core.validate import check_mask
from qsmcmb.field_mapping.head import map_field
from qsmcmb.field_mapping.preparation import prepare_phase
from qsmcmb.masking.brain import mask_brain
from qsmcmb.microbleeds.calibration.k_space_spectrum import find_k_space_windows
from qsmcmb.microbleeds.detection.examined import ExaminedPoint
from qsmcmb.microbleeds.detection.limit_map import map_detection_limit
from qsmcmb.microbleeds.measure import Targets, measure_lesions
from qsmcmb.microbleeds.results.burden import BurdenRecord, summarise_detection_limit
from qsmcmb.microbleeds.results.explanation import explain_lesion
from qsmcmb.microbleeds.results.lesion_pictures import picture_lesions
from qsmcmb.microbleeds.results.references import BURDEN_METHODS
from qsmcmb.microbleeds.results.table import MicrobleedTable
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import GreScan
from qsmcmb.pipeline.checks import (
    check_finite,
    check_given_mask,
    find_field_faults,
    find_lesion_faults,
    find_map_faults,
    find_noise_faults,
)
from qsmcmb.pipeline.clock import Clock
from qsmcmb.pipeline.config import Config, make_config
from qsmcmb.pipeline.detection import DetectorMaps, detect_beside_readers, with_verdicts
from qsmcmb.pipeline.intermediates import Arrays, Intermediates, recall_or_compute
from qsmcmb.pipeline.inversion import Inversion, PhaseToField, local_field_of
from qsmcmb.pipeline.lesions import describe_lesions, measure_map_sums
from qsmcmb.pipeline.provenance import provenance_of
from qsmcmb.pipeline.reference import refer_map, reference_voxels
from qsmcmb.pipeline.regions import cerebellum_depths, find_region_faults, find_regions
from qsmcmb.pipeline.scan_checks import PhaseChecks, ScanChecks, check_phase, check_sign
from qsmcmb.pipeline.scan_result import FieldMaps, Masks, ScanMaps, ScanResult
from qsmcmb.pipeline.siderosis import find_siderosis
from qsmcmb.relaxometry.r2star import map_r2star
from qsmcmb.susceptibility_weighting import METHODS as SWI
from qsmcmb.susceptibility_weighting.swi import project_minimum
from qsmcmb.typing import BoolArray, FloatArray, Report
from qsmcmb.units import hz_to_ppm
from qsmcmb.unwrapping.head import unwrap
from qsmcmb.unwrapping.romeo import unwrap_volume

__all__ = ["map_scan_field", "prepare_scan", "run_scan"]

UNRELIABLE_SD_HZ = 5.0
"""SD of the field, Hz, from which a voxel is left out of the reliable mask: a tenth of a turn at 20 ms."""


def run_scan(
    scan: GreScan,
    config: Config | None = None,
    *,
    mask: BoolArray | None = None,
    points_mm: FloatArray | None = None,
    kinds: Sequence[str | None] | None = None,
    detect: bool = False,
    reference: str | BoolArray = "brain",
    segmentation: Segmentation | None = None,
    report: Report | None = None,
    intermediates: Intermediates | None = None,
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
    reference : {"brain", "csf"} or ndarray of bool, optional
        Region whose mean is 0 on the susceptibility map: found in the scan, or the user's mask. No lesion's number
        depends on it.
    segmentation : Segmentation, optional
        The user's, for side, territory, regions and region table; wins over the region map.
    report : callable, optional
        Progress.
    intermediates : Intermediates, optional
        Store of what an interrupted run of the same scan has made, and of what this one makes.

    Returns
    -------
    ScanResult
        Maps, lesions and provenance.

    Raises
    ------
    InvalidInputError
        Any gate of the stages.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> config = make_config({"invert": {"method": "tkd"}})
    >>> outside = np.array([[12.0, -30.5, 8.0]])
    >>> result = run_scan(scan, config, mask=ones > 0, points_mm=outside)
    >>> [lesion.flags for lesion in result.lesions]
    [('outside-volume',)]
    """
    config = config or make_config()
    # First of all: the version is that of the code that starts, whatever is committed meanwhile.
    detected = points_mm is None or detect
    clock = Clock(scan.name, report)
    scan = prepare_scan(scan, config, clock)
    provenance = provenance_of(
        scan, config, mask_given=mask is not None, detected=detected, segmentation=segmentation
    )
    job = _Job(scan, config, clock, intermediates)
    phase = _map_total_field(job, mask)
    local = _remove_background(job, phase)
    with job.clock.stage("invert"):
        inversion = Inversion(scan, job.config, phase, local)
        chi_ppm = job.held("invert", lambda: {"chi_ppm": inversion.of_scan()})["chi_ppm"]
    r2star_hz = _map_decay(job, phase.mask)
    referred_to = reference_voxels(reference, scan, r2star_hz, inversion.mask)
    with job.clock.stage("swi"):
        swi = _weight_by_susceptibility(job, phase.mask)
        mip_min = project_minimum(swi, scan.grid)
    targets = Targets.of_readers(np.zeros((0, 3)) if points_mm is None else points_mm, kinds)
    local_field_hz = inversion.local_field_hz(chi_ppm)
    examined: Sequence[ExaminedPoint] | None = None
    if detected:
        with job.clock.stage("detect"):
            looked_at = DetectorMaps(chi_ppm, local_field_hz, phase.field_sd_hz, inversion.mask)
            targets, examined = detect_beside_readers(scan, looked_at, targets)
    with job.clock.stage("acquisition"):
        acquisition = find_k_space_windows(scan, phase.mask)
    fields = ScanFields(
        field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask, r2star_hz=r2star_hz,
        chi_ppm=chi_ppm,
    )  # fmt: skip
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
        regions = find_regions(scan, phase.mask, r2star_hz, segmentation)
        lesions = describe_lesions(
            measured, scan, phase.mask, regions=regions, map_sums=sums, limit_ppm_mm3=limit_ppm_mm3
        )
        rows = zip(lesions, measured.fitted, sums, measured.evidence, strict=True)
        explained = [explain_lesion(m, fitted, total, evidence=known) for m, fitted, total, known in rows]
        siderosis = find_siderosis(
            scan, chi_ppm, r2star_hz, inversion.mask, regions=regions, labels=measured.labels, lesions=lesions
        )
    with job.clock.stage("burden"):
        chosen = config["burden"]
        depths = cerebellum_depths(lesions, regions)
        for record in (e.record for e in explained):
            if record["label"] in depths:
                record["cerebellum_depth"] = depths[record["label"]]
        burden: BurdenRecord = call_method(
            BURDEN_METHODS, chosen.method, chosen.options, lesions,
            context={
                "cerebellum_depths": depths,
                "detection_limit": summarise_detection_limit(limit_ppm_mm3),
                "fits": {m.label: f for m, f in zip(lesions, measured.fitted, strict=True) if f is not None},
            },
        )  # fmt: skip
    reliable_mask = phase.mask & (phase.field_sd_hz < UNRELIABLE_SD_HZ)
    sign = check_sign(scan, chi_ppm, r2star_hz, inversion.mask)
    faults = find_map_faults(scan, sign, inversion.mask) + find_lesion_faults(lesions, scan)
    faults += find_region_faults(lesions, regions, phase.mask)
    referred_ppm, found = refer_map(chi_ppm, inversion.mask, referred_to, reference)
    return ScanResult(
        scan=scan,
        masks=Masks(brain=phase.mask, reliable=reliable_mask, chi=inversion.mask),
        fields=FieldMaps(total_hz=phase.total_field_hz, sd_hz=phase.field_sd_hz, local_hz=local_field_hz),
        maps=ScanMaps(
            chi_ppm=referred_ppm,
            reference=found,
            r2star_hz=r2star_hz,
            swi=swi,
            mip_min=mip_min,
            detection_limit_ppm_mm3=limit_ppm_mm3,
        ),
        table=MicrobleedTable(
            lesions,
            measured.labels,
            provenance,
            warnings=(*scan.warnings, *phase.warnings, *faults),
            evidence=measured.evidence,
        ),
        explanations=tuple(e.record for e in explained),
        pictures=picture_lesions(explained, scan),
        burden=burden,
        examined=None if examined is None else with_verdicts(examined, measured.lesions, lesions),
        seconds=job.clock.seconds,
        regions=regions,
        checks=ScanChecks(phase.checks, sign),
        siderosis=siderosis,
    )


class _Job(NamedTuple):
    scan: GreScan
    config: Config
    clock: Clock
    intermediates: Intermediates | None = None

    def held(self, step: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return what a step makes, computed unless an interrupted run has left it."""
        return recall_or_compute(self.intermediates, step, compute)


def map_scan_field(
    scan: GreScan,
    config: Config | None = None,
    *,
    mask: BoolArray | None = None,
    report: Report | None = None,
) -> PhaseToField:
    """Return mask and total field of a scan, all that a lesion fit needs.

    Parameters
    ----------
    scan : GreScan
        Wrapped phase and magnitude.
    config : Config, optional
        Methods and options.
    mask : ndarray of bool, optional
        The user's mask; wins over masking.
    report : callable, optional
        Progress.

    Returns
    -------
    PhaseToField
        Mask, receive phase, total field with its SD, and warnings.

    Raises
    ------
    InvalidInputError
        Any gate of the stages.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> map_scan_field(scan, mask=ones > 0).total_field_hz.shape
    (8, 8, 8)
    """
    config, clock = config or make_config(), Clock(scan.name, report)
    scan = prepare_scan(scan, config, clock)
    return _map_total_field(_Job(scan, config, clock), mask)


def prepare_scan(scan: GreScan, config: Config, clock: Clock) -> GreScan:
    """Return the scan with faults of its echoes reported, and corrected where the configuration says so.

    Parameters
    ----------
    scan : GreScan
        Wrapped phase and magnitude.
    config : Config
        Methods and options.
    clock : Clock
        Takes the time.

    Returns
    -------
    GreScan
        The scan that all further stages start from; a prepared one as it is.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> ones = np.ones((1, 8, 8, 8), np.float32)
    >>> scan = GreScan(0 * ones, ones, te_s=(0.02,), b0_tesla=3.0, grid=Grid.isotropic((8, 8, 8), 1.0))
    >>> prepare_scan(scan, make_config(), Clock(scan.name, None)).warnings
    ()
    """
    if scan.is_prepared:
        return scan
    chosen = config["prepare"].options
    with clock.stage("prepare"):
        found = prepare_phase(
            scan.phase_rad, scan.magnitude, te_s=scan.te_s, b0_tesla=scan.b0_tesla,
            magnitude_is_shared=scan.magnitude_is_shared, converter=str(scan.read_as.get("ConversionSoftware", "")),
            **chosen,
        )  # fmt: skip
    return replace(
        scan, phase_rad=found.phase_rad, magnitude=found.magnitude,
        magnitude_is_shared=found.magnitude_is_shared, decay_known=scan.decay_known and found.decay_known,
        warnings=(*scan.warnings, *found.warnings), is_prepared=True,
    )  # fmt: skip


def _map_total_field(job: _Job, mask: BoolArray | None) -> PhaseToField:
    with job.clock.stage("mask"):
        brain = job.held("mask", lambda: {"mask": _find_mask(job, mask)})["mask"]
    held = job.intermediates.load("fieldmap") if job.intermediates else None
    if held is None:
        held = _unwrap_and_map(job, brain)
        if job.intermediates:
            job.intermediates.save("fieldmap", held)
    return PhaseToField(
        mask=brain,
        offset_rad=held["offset_rad"],
        total_field_hz=held["total_field_hz"],
        field_sd_hz=held["field_sd_hz"],
        warnings=tuple(str(w) for w in held["warnings"]),
        checks=PhaseChecks(
            int(held["n_fringe_lines"]),
            float(held["longest_line_mm"]),
            tuple(held["echo_residual_rad"].tolist()),
        ),
        # In a phase difference it has cancelled.
        has_receive_phase=job.scan.n_echoes == 1 and not job.scan.phase_difference,
    )


def _find_mask(job: _Job, given: BoolArray | None) -> BoolArray:
    """Return the brain: the user's mask once checked, or the one that masking finds."""
    scan, chosen = job.scan, job.config["mask"]
    if given is not None:
        check_mask(given, scan.grid)
        check_given_mask(given, scan)
    brain = given
    if brain is None:
        brain = mask_brain(
            scan.magnitude, scan.phase_rad, scan.grid, method=chosen.method, options=chosen.options
        )
    check_finite(brain, scan)
    return brain


def _unwrap_and_map(job: _Job, brain: BoolArray) -> Arrays:
    """Return receive phase, total field and its SD, with warnings: the steps unwrap and fieldmap."""
    scan, config, clock, _ = job
    with clock.stage("unwrap"):
        clean = remove_phase_offset(
            scan.phase_rad, scan.magnitude, brain, scan.grid, te_s=scan.te_s,
            unwrapper=lambda p, m: unwrap_volume(p, m, brain),
        )  # fmt: skip
        chosen = config["unwrap"]
        unwrapped_rad = unwrap(
            clean.phase_rad, brain, scan.grid, method=chosen.method, magnitude=scan.magnitude, te_s=scan.te_s,
            offset_removed=True, options=chosen.options,
        )  # fmt: skip
    with clock.stage("fieldmap"):
        chosen = config["fieldmap"]
        fitted = map_field(
            unwrapped_rad, scan.magnitude, brain, scan.grid, te_s=scan.te_s, method=chosen.method,
            offset_removed=True, options=chosen.options,
        )  # fmt: skip
    found = check_phase(scan, clean.phase_rad, fitted.total_field_hz, brain)
    faults = find_field_faults(scan, found, brain)
    faults += find_noise_faults(scan, fitted.field_sd_hz, brain)
    return {
        "offset_rad": clean.offset_rad,
        "total_field_hz": fitted.total_field_hz,
        "field_sd_hz": fitted.field_sd_hz,
        "warnings": np.array(faults, dtype=str),
        **{name: np.array(value) for name, value in found._asdict().items()},
    }


def _remove_background(job: _Job, phase: PhaseToField) -> LocalField | None:
    """Return the local field; None where the inversion starts before it."""
    if job.config.replaced("background"):
        return None
    with job.clock.stage("background"):
        held = job.held("background", lambda: local_field_of(phase, job.scan, job.config)._asdict())
        return LocalField(**held)


def _map_decay(job: _Job, brain: BoolArray) -> FloatArray | None:
    with job.clock.stage("r2star"):
        if job.scan.n_echoes < 2 or not job.scan.decay_known:
            return None
        chosen = job.config["r2star"]
        return map_r2star(
            job.scan.magnitude, brain, te_s=job.scan.te_s, method=chosen.method, options=chosen.options
        )


def _weight_by_susceptibility(job: _Job, brain: BoolArray) -> FloatArray:
    scan, chosen = job.scan, job.config["swi"]
    swi: FloatArray = call_method(
        SWI, chosen.method, chosen.options, scan.phase_rad, scan.magnitude, brain, scan.grid, context={}
    )
    return swi
