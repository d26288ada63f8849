"""Records of a lesion's explanation, as they are written (`*_desc-cmb_explain.json`, `lesion-<label>.json`).

The keys are fixed. A quantity without a unit in its key is in the unit of the record, ppm mm3, or has none; one that is
not finite is None.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

__all__ = [
    "ComparedModelRecord",
    "EchoRecord",
    "EstimateRecord",
    "EvidenceRecord",
    "FitRecord",
    "FlagRecord",
    "LesionRecord",
    "MapSumRecord",
    "MomentsRecord",
    "PointSpreadRecord",
    "RemainderRecord",
    "SdPartRecord",
    "SignalLossRecord",
    "SliceProfileRecord",
    "VeinRecord",
    "VoxelRecord",
    "WindowRecord",
]


class EstimateRecord(TypedDict):
    """Estimate with its SD and 95 % interval."""

    value: float
    """Estimate."""
    sd: float | None
    """Standard deviation."""
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    """Upper end of the 95 % interval."""


class EchoRecord(EstimateRecord):
    """Total susceptibility from one echo, ppm mm3."""

    te_s: float
    """Echo time, s."""


class FlagRecord(TypedDict):
    """Flag of the row."""

    flag: str
    """Word in the table."""
    meaning: str
    """Sentence that explains it."""


class VoxelRecord(TypedDict):
    """Voxels of the fit."""

    used: int
    """Number of voxels fitted."""
    left_out: int
    """Number of voxels of the ball outside mask or volume, or left out as dependent."""
    n_downweighted: list[int]
    """Number of voxels that count less than half, per echo."""
    fraction_in_mask: float
    """Fraction of the ball in mask and volume."""
    ball_radius_mm: float
    """Radius of the ball, mm."""


class FitRecord(TypedDict):
    """Refined fit."""

    shape: str
    """Shape that was fitted: ball, spheroid, pair or free."""
    signal_retaining_core: bool
    """Whether a core that keeps its signal was fitted."""
    tissue_prior: bool
    """Whether the tissue's Gaussian process was part of the model: not in a liquid."""
    sources_ppm_mm3_mm: list[list[float]]
    """Row of each body: total susceptibility (ppm mm3), centre (mm, 3 values), radius (mm); a spheroid's radius is that
    across its axis, and its focus (mm, 3 values) follows."""
    residual: float | None
    """Root mean square of the weighted residual; about 1 where the model holds."""
    core_residual: float | None
    """The same within 3 mm of the centre."""
    sd: float | None
    """SD of the total susceptibility by the fit, ppm mm3."""
    noise_and_clutter_sd: float | None
    """Part of it from noise and clutter, ppm mm3."""
    psf_and_shape_sd: float | None
    """Part of it from the point spread's extra width and the lesion's centre, contrast, decay and shape, ppm mm3."""
    hidden_tissue_sd: float | None
    """Part of it for the tissue that the lesion covers, ppm mm3."""
    cramer_rao_sd: float | None
    """Cramer-Rao bound of the model that is fitted, for white noise alone, ppm mm3."""
    converged: bool
    """Whether the last step changed nothing that matters."""
    decay_hz: float
    """R2* inside the lesion above the tissue's, 1/s."""


class SdPartRecord(TypedDict):
    """Part of the SD of the row's total susceptibility; the squares of all parts add to the square of that SD."""

    part: str
    """Name of the part: a field of `fit.sd_parts.SdParts`, or `systematic`."""
    sd: float
    """SD by this part alone, ppm mm3."""


class ComparedModelRecord(TypedDict):
    """Model that the fit was compared with; costs count within one comparison alone."""

    comparison: str
    """Comparison: shape, free source, at the point, adjacent vein."""
    shape: str
    """Shape: ball, spheroid, pair or free."""
    n_bodies: int
    """Number of its bodies."""
    total_chi_ppm_mm3: float
    """Total susceptibility, ppm mm3."""
    cost: float | None
    """Objective (shape, free source) or BIC (the others) at its minimum, squared SDs; the lower is the better."""
    core_residual: float | None
    """Core residual, SDs."""
    is_chosen: bool
    """Whether it was taken."""


class RemainderRecord(TypedDict):
    """Field beyond the dipole's at one distance."""

    distance_mm: float
    """Distance from the source's centre, mm."""
    fraction: float | None
    """Root mean square of that field over the dipole's; None within the source."""


class MomentsRecord(TypedDict):
    """Moments of the fitted source."""

    dipole: float
    """Total susceptibility, ppm mm3."""
    absolute: float
    """Sum of the absolute total susceptibilities of its bodies, ppm mm3."""
    principal_lengths_mm: list[float]
    """Lengths along the principal axes, the longest first, mm."""
    elongation: float
    """Ratio of the longest to the shortest."""
    long_axis: list[float]
    """Direction of the longest in voxel axes, a unit vector."""
    remainder: list[RemainderRecord]
    """Field beyond the dipole's, by distance."""


class WindowRecord(TypedDict):
    """K-space window along one axis."""

    edge: float
    """Acquired fraction of the axis."""
    taper: float
    """Fraction of the acquired half axis over which the weight falls."""
    height: float
    """Weight at the edge."""


class SliceProfileRecord(TypedDict):
    """Profile of slices."""

    axis: int
    """Axis across the slices."""
    thickness: float
    """Ratio of the slices' thickness to their distance."""


class PointSpreadRecord(TypedDict):
    """Point spread of the scan at the lesion."""

    k_space_windows: list[WindowRecord]
    """Window along each axis."""
    slice_profile: SliceProfileRecord | None
    """Slice profile; None where k-space was sampled along all axes."""
    voxel_means: bool
    """Whether voxels are means over their volume, in place of samples of k-space."""
    psf_width2_mm2: EstimateRecord
    """Squared extra width of the point spread, mm2."""


class VeinRecord(TypedDict):
    """Cylinder that explains the scan better than the lesion, or together with it."""

    strength_ppm_mm2: float
    """Susceptibility times cross-section, ppm mm2."""
    radius_mm: float
    """Radius, mm."""
    axis: tuple[float, float, float]
    """Direction in voxel axes, a unit vector."""
    bic_difference: float
    """Difference of the BIC in favour of the vein, in squared SDs."""


class MapSumRecord(TypedDict):
    """Sum over the susceptibility map."""

    raw: float | None
    """Sum over the ball, ppm mm3."""
    corrected: EstimateRecord | None
    """Total susceptibility, ppm mm3; None where the map holds too little of the lesion."""
    response: float | None
    """Fraction of the fitted total susceptibility that the pipeline leaves in the map."""
    radius_mm: float
    """Radius of the ball, mm."""
    radii_mm: list[float]
    """Radii at which the sum was taken, mm."""
    growth: list[float | None]
    """Sum over a ball of each radius, ppm mm3."""
    response_growth: list[float | None]
    """The same of the pipeline's response, ppm mm3."""


class SignalLossRecord(EstimateRecord):
    """Total susceptibility by the signal loss, ppm mm3."""

    ball_radius_mm: float
    """Radius of the ball over which is summed, mm."""
    te_s: list[float]
    """Echo times of the usable echoes, s."""
    volume_mm3: list[float]
    """Lost signal of each, mm3 of tissue."""
    volume_sd_mm3: list[float]
    """SD of it, mm3."""
    per_echo: list[float]
    """Total susceptibility of each echo alone, ppm mm3."""


class EvidenceRecord(TypedDict):
    """Figure of the evidence, or probability of a kind."""

    name: str
    """Column of the evidence table."""
    description: str
    """What it is."""
    unit: str
    """Its unit; empty for none."""
    value: str | float | None
    """Its value."""


class LesionRecord(TypedDict):
    """Explanation of one lesion, as in the JSON; the keys from `voxels` on are there where a lesion was fitted."""

    label: int
    """Number of the lesion in table and label image."""
    position_mm: list[float]
    """Centre, scanner RAS+ mm."""
    kind: str
    """Kind as in the table."""
    certainty: str
    """Certainty as in the table."""
    unit: str
    """Unit of total susceptibilities, ppm mm3."""
    total_chi: EstimateRecord | None
    """Total susceptibility by the lesion fit, ppm mm3."""
    detection_limit: float | None
    """Detection limit at the lesion, ppm mm3."""
    flags: list[FlagRecord]
    """Flags in words."""
    command: str
    """Command that makes the number again."""
    cerebellum_depth: NotRequired[str]
    """Depth in the cerebellum, superficial or deep, where it lies there."""
    evidence: NotRequired[list[EvidenceRecord]]
    """What says whether it is a microbleed, in the order of the evidence table."""
    map_sum: NotRequired[MapSumRecord]
    """Sum over the map, where there is a map."""
    voxels: NotRequired[VoxelRecord]
    """Voxels of the fit."""
    fit: NotRequired[FitRecord]
    """Refined fit."""
    sd_parts: NotRequired[list[SdPartRecord]]
    """Parts of the SD of `total_chi`, the largest first; not there where the row has no interval."""
    compared_models: NotRequired[list[ComparedModelRecord]]
    """Models compared on the way to the fit, in their order; empty where the first described the lesion."""
    moments: NotRequired[MomentsRecord]
    """Moments of the fitted source."""
    point_spread: NotRequired[PointSpreadRecord]
    """Point spread of the scan."""
    per_echo: NotRequired[list[EchoRecord]]
    """Total susceptibility fitted to each echo alone."""
    vein: NotRequired[VeinRecord]
    """Vein that explains the scan better than a lesion, where there is one."""
    adjacent_vein: NotRequired[VeinRecord]
    """Vein that explains the scan better together with the lesion, where there is one."""
    signal_loss: NotRequired[SignalLossRecord]
    """Total susceptibility by the signal loss, where it is known."""
    estimators_agree: NotRequired[bool | None]
    """Whether fit, map sum and signal loss agree; None without a number."""
