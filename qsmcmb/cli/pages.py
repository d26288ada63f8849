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
    import time

    from qsmcmb.cli.console import say
    from qsmcmb.errors import QsmcmbError
    from qsmcmb.pipeline.longitudinal import run_longitudinal
    from qsmcmb.reporting.subject_page import write_subject_page

    failed = False
    for participant in participants:
        start, notes = time.perf_counter(), list((failures or {}).get(participant, ()))
        try:
            comparison = run_longitudinal(out, participant, report=report)
            if comparison:
                notes += comparison.warnings
                for warning in comparison.warnings:
                    say(f"WARNING {warning}")
        except QsmcmbError as error:
            failed = True
            notes.append(str(error))
            say(str(error))
        if report:
            report(f"sub-{participant}", "longitudinal", time.perf_counter() - start)
            report(f"sub-{participant}", "report", 0.0)
        start = time.perf_counter()
        page = write_subject_page(out, participant, notes=notes)
        if report:
            report(f"sub-{participant}", "report", time.perf_counter() - start)
        say(f"page: {page}")
    return failed
