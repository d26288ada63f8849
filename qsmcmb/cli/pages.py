"""Comparison over sessions and the page of each subject: what follows once sessions are on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def compare_and_report(
    out: Path,
    participants: Sequence[str],
    *,
    report: Callable[[str, str, float], None] | None = None,
    failures: Mapping[str, Sequence[str]] | None = None,
) -> bool:
    """Compare sessions and write pages; return whether a comparison failed. Each subject on its own."""
    from qsmcmb.cli.console import say
    from qsmcmb.errors import QsmcmbError
    from qsmcmb.pipeline.clock import Clock
    from qsmcmb.pipeline.longitudinal import run_longitudinal
    from qsmcmb.reporting.subject_page import write_subject_page

    failed = False
    for participant in participants:
        notes = list((failures or {}).get(participant, ()))
        clock = Clock(f"sub-{participant}", report)
        with clock.stage("longitudinal"):
            try:
                comparison = run_longitudinal(out, participant)
                warnings = comparison.warnings if comparison else ()
            except QsmcmbError as error:
                failed, warnings = True, ()
                notes.append(str(error))
                say(str(error))
        for warning in warnings:
            notes.append(warning)
            say(f"WARNING {warning}")
        with clock.stage("report"):
            page = write_subject_page(out, participant, notes=notes)
        say(f"page: {page}")
    return failed
