"""Flags of the table of change, each with its meaning."""

from __future__ import annotations

__all__ = (
    "CHANGE_FLAGS", "NOT_AT_BASELINE", "NOT_AT_FOLLOWUP", "ORDER_UNKNOWN", "OTHER_HEAD", "REJECTED_AT_BASELINE",
    "REJECTED_AT_FOLLOWUP", "SPLIT",
)  # fmt: skip

ORDER_UNKNOWN = "session-order-unknown"
NOT_AT_BASELINE = "not-detected-in-baseline"
NOT_AT_FOLLOWUP = "not-detected-in-followup"
REJECTED_AT_BASELINE = "rejected-in-baseline"
REJECTED_AT_FOLLOWUP = "rejected-in-followup"
SPLIT = "parts-summed"
OTHER_HEAD = "another-head"
_DIFFER = "The two scans differ in {}: the limit of change is that of different scans."
_ONE_VERDICT = (
    "A verdict makes no lesion {}: as long as something is measured in both, the verdicts contradict each other and "
    "the lesion has no status. Give it one verdict at all visits (`qsmcmb review`, Shift with the key)."
)
CHANGE_FLAGS = {
    ORDER_UNKNOWN: "No acq_time says which session came first: nothing is called new, gone, grown or shrunk. Write the "
    "times into sub-*_sessions.tsv (session_id, acq_time) and run again.",
    NOT_AT_BASELINE: "The baseline's list holds no lesion here. Its number is what the fit measures at this place.",
    NOT_AT_FOLLOWUP: "The follow-up's list holds no lesion here. Its number is what the fit measures at this place.",
    REJECTED_AT_BASELINE: "A reader has rejected this lesion in the baseline; the follow-up holds it. The number is "
    "that of the rejected candidate. " + _ONE_VERDICT.format("new"),
    REJECTED_AT_FOLLOWUP: "A reader has rejected this lesion in the follow-up; the baseline holds it. The number is "
    "that of the rejected candidate. " + _ONE_VERDICT.format("gone"),
    SPLIT: "One session shows the lesion as two or more; their sum is compared.",
    OTHER_HEAD: "The scans do not fit each other after registration, as those of two people: nothing is compared.",
    "place-not-shown": "One scan does not show the place of the lesion, or nothing could be measured there.",
    "no-interval": "One number has no finite interval, so that no change can be judged.",
    "below-detection-limit": "The lesion is below the detection limit of the scan that does not hold it, which could "
    "not have shown it.",
    "place-uncertain": "The scan that does not hold the lesion could have shown it, but what is measured at its place "
    "does not say whether it is there.",
    "field-strength-differs": _DIFFER.format("field strength"),
    "echo-times-differ": _DIFFER.format("echo times"),
    "voxel-size-differs": _DIFFER.format("voxel size"),
    "scanner-differs": _DIFFER.format("manufacturer, model or serial number"),
    "scanner-software-differs": _DIFFER.format("the scanner's software"),
    "protocol-differs": _DIFFER.format("protocol (name, repetition time, flip angle or coil)"),
    "qsmcmb-version-differs": _DIFFER.format("the version of qsmcmb that computed them; run both again"),
    "phase-filter-differs": _DIFFER.format("the filter of the phase"),
    "methods-differ": _DIFFER.format("the methods that computed them; a step may have been left out in one, as R2* is "
    "where the magnitude does not decay"),
}  # fmt: skip
"""Meaning of each flag of the table of change (`*_desc-cmb_longitudinal.tsv`)."""
