"""The steps of a study, and the key of each: equal keys mean equal results, so that a step is not done again.

A key is a hash of the step's inputs, of its parameters, of its source with all that it imports, of the versions of the
libraries that compute, and of the keys of the steps that it follows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

from qsmcmb.core.software import software_versions
from qsmcmb.errors import ConfigError
from qsmcmb.pipeline.config import STAGES, Config
from qsmcmb.study.source import digest_of, source_of

__all__ = [
    "SCAN_STEPS", "STEPS", "SUBJECT_STEPS", "Step", "StepKey", "check_step_names", "following", "libraries", "make_key",
    "modules_of", "scan_keys", "step_of",
]  # fmt: skip

ORDER = "qsmcmb.pipeline.subject"
"""Module that calls the steps of a scan; without its imports it belongs to the source of each."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a study: what it follows, what it consists of and what it makes.

    Parameters
    ----------
    name : str
        Name in `--force`, `status` and `why`.
    after : tuple of str
        Steps whose results it takes.
    modules : tuple of str
        Modules that it consists of, those of the chosen method aside.
    tables : tuple of str, optional
        Tables of the configuration with its parameters.
    makes : tuple of str, optional
        Ends of the names of the results that it makes, without extension.

    Examples
    --------
    >>> [step.name for step in STEPS if "invert" in step.after]
    ['detect', 'quantify']
    """

    name: str
    after: tuple[str, ...]
    modules: tuple[str, ...]
    tables: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()


SCAN_STEPS = (
    Step(
        name="load", after=(), tables=("prepare",),
        modules=("pipeline.load", "pipeline.checks", "field_mapping.preparation", "study.user_input"),
    ),
    Step(name="mask", after=("load",), tables=("mask",), modules=("masking.brain", "io.masks"),
         makes=("desc-brain_mask",)),
    Step(name="unwrap", after=("mask",), tables=("unwrap",),
         modules=("core.receive_phase", "unwrapping.head", "unwrapping.romeo")),
    Step(name="fieldmap", after=("unwrap",), tables=("fieldmap",), modules=("field_mapping.head",),
         makes=("desc-total_fieldmap", "desc-fieldsd_fieldmap", "desc-reliable_mask")),
    Step(name="background", after=("fieldmap",), tables=("background",), modules=("background_removal.head",),
         makes=("desc-local_fieldmap",)),
    Step(name="invert", after=("background",), tables=("invert",),
         modules=("dipole_inversion.head", "pipeline.inversion", "pipeline.reference"), makes=("Chimap",)),
    Step(name="r2star", after=("mask",), tables=("r2star",), modules=("relaxometry.r2star",),
         makes=("R2starmap", "T2starmap")),
    Step(name="swi", after=("mask",), tables=("swi",), modules=("susceptibility_weighting.swi",),
         makes=("desc-swi_T2starw", "desc-minIP_T2starw")),
    Step(name="detect", after=("invert",), modules=("pipeline.detection",)),
    Step(
        name="quantify", after=("invert", "r2star", "swi", "detect"),
        modules=("microbleeds.measure", "microbleeds.calibration.k_space_spectrum",
                 "microbleeds.detection.limit_map", "pipeline.lesions"),
        makes=("desc-cmb_dseg", "desc-cmb_explain", "desc-detectionlimit_map"),
    ),
    Step(
        name="anatomy", after=("quantify",), tables=("burden",),
        modules=("pipeline.lesions", "pipeline.regions", "pipeline.siderosis", "microbleeds.results.explanation",
                 "microbleeds.results.lesion_pictures", "pipeline.outputs"),
        makes=("desc-cmb_lesions", "desc-cmb_burden", "desc-cmb_evidence", "desc-cmb_candidates", "desc-mars_form",
               "desc-bombs_form", "desc-regions_stats", "desc-cmb_pictures", "desc-quality",
               "desc-siderosis_areas"),
    ),
)  # fmt: skip
"""Steps of one scan, in the order in which they run."""
SUBJECT_STEPS = (
    Step(name="longitudinal", after=("anatomy",), modules=("study.longitudinal",),
         makes=("desc-cmb_longitudinal", "desc-cmb_course", "desc-cmb_trend", "desc-cmb_ariah")),
    Step(name="report", after=("longitudinal",), modules=("reporting.subject_page",)),
)  # fmt: skip
"""Steps of a subject, once its scans are done."""
STEPS = (*SCAN_STEPS, *SUBJECT_STEPS)
"""All steps."""


@dataclass(frozen=True)
class StepKey:
    """Key of a step with the parts that it was made of.

    Parameters
    ----------
    key : str
        Hash of everything below.
    inputs : dict of str to str
        Hash by input that the step reads itself.
    parameters : dict
        Method and options, defaults written out, and what the user gave besides.
    source : str
        Hash of the source.
    after : dict of str to str
        Keys of the steps that it follows.

    Examples
    --------
    >>> StepKey("0", {}, {"method": "tkd"}, "1", {}).parameters["method"]
    'tkd'
    """

    key: str
    inputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    after: dict[str, str] = field(default_factory=dict)


def step_of(result: str) -> str:
    """Return the step that makes a result.

    Parameters
    ----------
    result : str
        Name of the file.

    Returns
    -------
    str
        Name of the step; that of the page where no other makes it.

    Examples
    --------
    >>> step_of("sub-01/anat/sub-01_Chimap.nii.gz"), step_of("sub-01.html")
    ('invert', 'report')
    """
    stem = result.rpartition("/")[2].partition(".")[0]
    return next((step.name for step in STEPS for made in step.makes if stem.endswith(made)), "report")


def check_step_names(names: Sequence[str]) -> None:
    """Raise unless all are steps.

    Parameters
    ----------
    names : sequence of str
        Names that the user gave.

    Raises
    ------
    ConfigError
        Another name; the message lists the steps.

    Examples
    --------
    >>> check_step_names(["invert"])
    """
    known = [step.name for step in STEPS]
    for name in names:
        if name not in known:
            raise ConfigError(f"--force {name!r}; expected one of: {', '.join(known)}")


@cache
def libraries() -> dict[str, str]:
    """Return the versions of Python and of all libraries that compute.

    Returns
    -------
    dict of str to str
        Version by name; that of qsmcmb is left out, its source counts.

    Examples
    --------
    >>> "numpy" in libraries()
    True
    """
    return {name: version for name, version in software_versions().items() if name != "qsmcmb"}


def make_key(
    step: Step, *, inputs: Mapping[str, str], parameters: Mapping[str, Any], after: Mapping[str, str]
) -> StepKey:
    """Return the key of a step.

    Parameters
    ----------
    step : Step
        The step.
    inputs : mapping of str to str
        Hash by input that it reads itself.
    parameters : mapping
        Records of its tables by their name, and what the user gave besides; what JSON cannot hold counts as text.
    after : mapping of str to str
        Keys of the steps that it follows.

    Returns
    -------
    StepKey
        The key and its parts.

    Examples
    --------
    >>> keys = [
    ...     make_key(SUBJECT_STEPS[0], inputs={}, parameters={"notes": notes}, after={}) for notes in ("", "late")
    ... ]
    >>> keys[0].key == keys[1].key, keys[0].source == keys[1].source
    (False, True)
    """
    source = _digest(modules_of(step, parameters))
    # As it will be read back from the manifest.
    plain = json.loads(json.dumps(dict(parameters), default=str))
    parts = StepKey("", dict(inputs), plain, source, dict(after))
    return replace(parts, key=_digest({**asdict(parts), "step": step.name, "libraries": libraries()}))


def modules_of(step: Step, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the source of a step: its own modules, those of the methods, and all that they import.

    Parameters
    ----------
    step : Step
        The step.
    parameters : mapping
        Records of its tables by their name.

    Returns
    -------
    dict of str to str
        Hash by module.

    Examples
    --------
    >>> "qsmcmb.relaxometry.r2star" in modules_of(SCAN_STEPS[6], {"r2star": {"method": "arlo"}})
    True
    """
    chosen = {table: parameters.get(table, {}).get("method", "none") for table in step.tables}
    methods = [STAGES[t].methods[name].partition(":")[0] for t, name in chosen.items() if name != "none"]
    own = [f"qsmcmb.{name}" for name in step.modules]
    return source_of((*own, *methods), alone=(ORDER,) if step in SCAN_STEPS else ())


def _digest(value: object) -> str:
    """Return the hash of a value that JSON can hold."""
    return digest_of(json.dumps(value, sort_keys=True).encode())


def scan_keys(
    config: Config, *, inputs: Mapping[str, Mapping[str, str]], given: Mapping[str, Mapping[str, Any]]
) -> dict[str, StepKey]:
    """Return the keys of all steps of a scan.

    Parameters
    ----------
    config : Config
        Methods and options.
    inputs : mapping
        Hash by input, for each step that reads some.
    given : mapping
        What the user gave besides the configuration, for each step that it concerns.

    Returns
    -------
    dict of str to StepKey
        Key by step, in the order in which they run.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> keys = scan_keys(make_config(), inputs={}, given={})
    >>> other = scan_keys(make_config({"r2star": {"method": "arlo"}}), inputs={}, given={})
    >>> [name for name in keys if keys[name].key != other[name].key]
    ['r2star', 'quantify', 'anatomy']
    """
    keys: dict[str, StepKey] = {}
    for step in SCAN_STEPS:
        records = {table: config.record(table) for table in step.tables}
        keys[step.name] = make_key(
            step, inputs=inputs.get(step.name, {}), parameters={**records, **given.get(step.name, {})},
            after={name: keys[name].key for name in step.after},
        )  # fmt: skip
    return keys


def following(names: Sequence[str]) -> frozenset[str]:
    """Return steps and all steps that follow them.

    Parameters
    ----------
    names : sequence of str
        Names of steps.

    Returns
    -------
    frozenset of str
        Names.

    Examples
    --------
    >>> sorted(following(["detect"]) - following(["longitudinal"]))
    ['anatomy', 'detect', 'quantify']
    """
    found = set(names)
    for step in STEPS:
        if found & set(step.after):
            found.add(step.name)
    return frozenset(found)
