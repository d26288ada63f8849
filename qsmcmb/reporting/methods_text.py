"""The methods section of a session or a comparison, with its bibliography, from their records alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from qsmcmb.background_removal import SMOOTH_REMAINDER
from qsmcmb.core.methods import Description
from qsmcmb.core.references import Reference
from qsmcmb.field_mapping import OFFSET_REMOVAL
from qsmcmb.microbleeds.results.references import PARTS, parts_used
from qsmcmb.stages import ALL_STAGES

__all__ = ["MethodsText", "describe_comparison", "describe_methods"]

_DESCRIPTIONS = {stage.name: stage.descriptions for stage in ALL_STAGES}


class MethodsText(NamedTuple):
    """A paragraph whose numbers in brackets count the references, from 1.

    Parameters
    ----------
    paragraph : str
        Sentences on what was done, each with its options and references.
    references : tuple of Reference
        Bibliography in the order in which it is cited.

    Examples
    --------
    >>> MethodsText(paragraph="The field was inverted.", references=()).references
    ()
    """

    paragraph: str
    references: tuple[Reference, ...]


def describe_methods(
    record: Mapping[str, Any], explanations: Iterable[Mapping[str, Any]] = ()
) -> MethodsText:
    """Return the methods section of a session.

    Parameters
    ----------
    record : mapping
        Burden record of the session: its steps, scan and software.
    explanations : iterable of mapping, optional
        Explanations of its lesions, which say what their fits made use of.

    Returns
    -------
    MethodsText
        Paragraph and bibliography.

    Examples
    --------
    >>> steps = {"invert": {"method": "tkd", "threshold": 0.1}}
    >>> text = describe_methods({"Steps": steps, "EchoTime": [0.02], "MagneticFieldStrength": 3.0})
    >>> "by thresholded k-space division (threshold 0.1) [1, 2]." in text.paragraph
    True
    >>> text.references[0].short
    'Shmueli et al. 2009'
    """
    writer = _Writer()
    steps = record.get("Steps", {})
    parts = [PARTS[key] for key in parts_used(explanations)]
    for stage, options in steps.items():
        if stage == "unwrap" and len(record.get("EchoTime", [])) > 1:
            writer.add(OFFSET_REMOVAL)
        if stage == "quantify":
            writer.add_all(parts)
        else:
            writer.add_step(stage, options)
        if stage == "background" and len(record.get("EchoTime", [])) == 1 and "reason" not in options:
            writer.add(SMOOTH_REMAINDER)
    if "quantify" not in steps:
        writer.add_all(parts)
    if not parts:
        writer.sentences.append("No lesion was fitted.")
    writer.sentences.append("All intervals are 95 % intervals.")
    return writer.text(_scan_sentence(record))


def describe_comparison(record: Mapping[str, Any]) -> MethodsText:
    """Return the methods section of the comparison of a subject's sessions.

    Parameters
    ----------
    record : mapping
        Record beside the longitudinal table.

    Returns
    -------
    MethodsText
        Paragraph and bibliography.

    Examples
    --------
    >>> text = describe_comparison({"Steps": {"longitudinal": {"method": "rigid"}}})
    >>> text.references[0].short
    'Mattes et al. 2003'
    """
    writer = _Writer()
    for stage, options in record.get("Steps", {}).items():
        writer.add_step(stage, options)
    return writer.text("")


class _Writer:
    """Sentences, and the references that they cite, numbered as they come."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self._numbers: dict[Reference, int] = {}

    def add_all(self, descriptions: Sequence[Description]) -> None:
        for description in descriptions:
            self.add(description)

    def add(self, description: Description, options: Mapping[str, Any] | None = None) -> None:
        """Add a description's sentence, its options and references before the full stop."""
        shown = [f"{k} {_short(v)}" for k, v in (options or {}).items() if isinstance(v, str | int | float)]
        numbers = [self._numbers.setdefault(r, len(self._numbers) + 1) for r in description.references]
        rest = f" ({', '.join(shown)})" if shown else ""
        cited = f" [{', '.join(map(str, numbers))}]"
        self.sentences.append(description.sentence.removesuffix(".") + rest + cited + ".")

    def add_step(self, stage: str, options: Mapping[str, Any]) -> None:
        """Add a step of the provenance: what was done, or why it was not."""
        method = options.get("method", "")
        description = _DESCRIPTIONS.get(stage, {}).get(method)
        if method == "none":
            self.sentences.append(f"The stage {stage} did not run, since {options.get('reason', 'unknown')}.")
        elif description is None:
            self.sentences.append(f"The stage {stage} ran with {method or 'an unknown method'}.")
        else:
            self.add(description, {k: v for k, v in options.items() if k != "method"})

    def text(self, opening: str) -> MethodsText:
        return MethodsText(" ".join(filter(None, [opening, *self.sentences])), tuple(self._numbers))


def _scan_sentence(record: Mapping[str, Any]) -> str:
    times = ", ".join(f"{1000 * t:.4g}" for t in record.get("EchoTime", []))
    voxel = " x ".join(f"{v:.3g}" for v in record.get("VoxelSize", []))
    software = ", ".join(f"{g['Name']} {g['Version']}" for g in record.get("GeneratedBy", []))
    facts = {
        "field strength": f"{record.get('MagneticFieldStrength')} T", "echo times": f"{times} ms",
        "voxels": f"{voxel} mm", "software": software,
    }  # fmt: skip
    return "Scan: " + ", ".join(f"{name} {value}" for name, value in facts.items()) + "."


def _short(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
