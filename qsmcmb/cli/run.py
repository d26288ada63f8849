"""`qsmcmb run`: a BIDS data set, every session from phase to lesions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.arguments import (
    AdoptOutput,
    BidsFilter,
    ConfigFile,
    Detect,
    Labels,
    Participants,
    PhaseRange,
    PhaseSign,
    PhaseUnits,
    Points,
    Reference,
    Repeatability,
    ReportDetail,
    Sessions,
)  # fmt: skip
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes, named_folders

if TYPE_CHECKING:
    from qsmcmb.io.bids_index import SessionFiles
    from qsmcmb.reporting.budget import Detail
    from qsmcmb.study.cluster import Cluster
    from qsmcmb.study.log import LogFile
    from qsmcmb.study.options import Outcome, StudyOptions
    from qsmcmb.study.resources import Memory
    from qsmcmb.study.sessions import Resources

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="run bids derivatives/qsmcmb participant --participant-label 01 02")
    def run(  # noqa: PLR0913 (one argument for each option)
        context: typer.Context,
        bids: Annotated[Path, typer.Argument(metavar="BIDS", help="Data set."), Reads("bids")],
        out: Annotated[
            Path, typer.Argument(metavar="OUT", help="Derivatives folder."), Writes("folder", made_by="run")
        ],
        level: Annotated[
            str,
            typer.Argument(
                metavar="LEVEL", help="participant: each session; group: tables and a page over all."
            ),
        ],
        participant_label: Participants = None,
        session_label: Sessions = None,
        bids_filter_file: BidsFilter = None,
        derivatives: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME=FOLDER...",
                help="Derivatives that --mask-from and --segmentation-from may name.",
            ),
            Reads("folder", paths=named_folders),
        ] = None,
        mask_from: Annotated[
            str | None, typer.Option(metavar="NAME", help="Take the masks from these.")
        ] = None,
        segmentation_from: Annotated[
            str | None,
            typer.Option(metavar="NAME", help="Take territory and regions from the *_dseg images of these."),
        ] = None,
        points: Points = None,
        labels: Labels = None,
        detect: Detect = False,
        phase_units: PhaseUnits = None,
        phase_range: PhaseRange = None,
        phase_sign: PhaseSign = None,
        reference: Reference = "brain",
        repeatability: Repeatability = None,
        work: Annotated[
            Path | None,
            typer.Option(
                "-w", metavar="FOLDER", help="Hold intermediate results here, also of finished sessions."
            ),
            Writes("folder", adds=True),
        ] = None,
        force: Annotated[
            list[str] | None,
            typer.Option(metavar="STEP...", help="Do this step again, and those that follow it."),
        ] = None,
        nprocs: Annotated[
            int,
            typer.Option(metavar="N", min=1, help="Sessions at the same time; on a cluster, on each worker."),
        ] = 1,
        mem: Annotated[
            str | None,
            typer.Option(
                metavar="SIZE",
                help="Memory of all sessions together, as 8G; by default what there is. On a cluster, of each worker.",
            ),
        ] = None,
        scheduler: Annotated[
            str | None,
            typer.Option(
                metavar="ADDRESS",
                help="Run on the workers of this Dask scheduler (tcp://HOST:PORT, or its scheduler file); "
                "local starts N workers here.",
            ),
        ] = None,
        config_file: ConfigFile = None,
        report: ReportDetail = "full",
        adopt_output: AdoptOutput = False,  # noqa: ARG001 (heeded where the folder is held)
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Print plan and configuration, do nothing.")
        ] = False,
    ) -> None:
        """Run the whole pipeline on a BIDS data set.

        Every session gets maps and a lesion table; sessions of a subject are compared; each subject gets a page.
        """
        from qsmcmb import __version__
        from qsmcmb.cli.console import say, show
        from qsmcmb.cli.stage import stated_input, stated_reference
        from qsmcmb.errors import ConfigError
        from qsmcmb.io.atomic import make_folder
        from qsmcmb.io.tables import read_filter
        from qsmcmb.pipeline.config import read_config
        from qsmcmb.reporting.budget import read_detail
        from qsmcmb.study.log import LogFile
        from qsmcmb.study.options import StudyOptions, check_packages
        from qsmcmb.study.resources import memory_limit, parse_size
        from qsmcmb.study.sessions import Resources, plan_study
        from qsmcmb.study.steps import check_step_names

        if level == "group":
            raise typer.Exit(_run_group(out, dry_run=dry_run))
        if level != "participant":
            raise ConfigError(f"LEVEL {level!r}; expected participant or group")
        if points is not None and labels is not None:
            raise ConfigError("--points and --labels; expected one of them")
        detail = read_detail(report)
        memory = memory_limit(parse_size(mem) if mem else None)
        if repeatability is not None:
            from qsmcmb.study.repeatability import read_repeatability

            read_repeatability(repeatability)
        resources = Resources(n_processes=nprocs, work=work, force=tuple(force or ()), memory=memory)
        check_step_names(resources.force)
        config = read_config(config_file)
        stated = config.input.updated(stated_input(phase_units, phase_range, phase_sign))
        options = StudyOptions(
            config=replace(config, input=stated),
            participants=tuple(participant_label or ()),
            sessions=tuple(session_label or ()),
            filters=read_filter(bids_filter_file) if bids_filter_file else {},
            points=points,
            labels=labels,
            detect=detect or (points is None and labels is None),
            mask_root=_root_of(derivatives or [], "--mask-from", mask_from),
            segmentation_root=_root_of(derivatives or [], "--segmentation-from", segmentation_from),
            reference=stated_reference(reference),
            repeatability=repeatability,
        )
        check_packages(options)
        sessions = plan_study(bids, out, options)
        if dry_run:
            for session in sessions:
                show(f"# {session.name}: {len(session.images)} images")
            print(options.config.to_toml())
            return
        make_folder(out)
        if not (bids / "dataset_description.json").exists():
            say(f"WARNING {bids}: dataset_description.json is missing")
        log = LogFile(out)
        log.write("start", version=__version__, sessions=[s.name for s in sessions])
        with _workers(
            scheduler, bids, out, nprocs, memory if mem or scheduler == "local" else None
        ) as cluster:
            resources = replace(resources, cluster=cluster)
            code = _run(
                bids, out, sessions, options, resources, detail=detail, log=log, verbose=bool(context.obj)
            )
        raise typer.Exit(code)


@contextlib.contextmanager
def _workers(
    scheduler: str | None, bids: Path, out: Path, nprocs: int, memory: Memory | None
) -> Iterator[Cluster | None]:
    """Connect to the scheduler that the user has named; None where there is none to connect to."""
    from qsmcmb.cli.console import say
    from qsmcmb.study.signals import interruptible

    if scheduler is None:
        yield None
        return
    from qsmcmb.distributed.cluster import Means, connect

    with interruptible(), connect(scheduler, bids, out, Means(nprocs, memory), say=say) as cluster:
        yield cluster


def _run_group(out: Path, *, dry_run: bool) -> int:
    """Write the tables over all sessions; return the exit code."""
    from qsmcmb.cli.console import say, say_lines
    from qsmcmb.errors import EXIT_OK, EXIT_SOME_FAILED
    from qsmcmb.study.group import write_group
    from qsmcmb.study.selection import participants_of

    participants = participants_of(out, None)
    if dry_run:
        say(f"tables over {len(participants)} participants")
        return EXIT_OK
    found = write_group(out)
    for text in found.problems:
        say_lines(text)
    for path in found.files:
        say(f"written: {path}")
    say(f"{found.n_scans} scans with results, {len(found.problems)} without")
    return EXIT_SOME_FAILED if found.problems else EXIT_OK


def _root_of(derivatives: list[str], option: str, name: str | None) -> Path | None:
    """Return the derivatives folder that an option names; None where it is not given."""
    from qsmcmb.errors import ConfigError

    named = {}
    for value in derivatives:
        key, equals, path = value.partition("=")
        if not equals or not Path(path).is_dir():
            raise ConfigError(f"--derivatives {value!r}; expected NAME=FOLDER")
        named[key] = Path(path)
    if name is None:
        return None
    if name not in named:
        raise ConfigError(f"{option} {name!r}; expected one of: {', '.join(named) or 'none given'}")
    return named[name]


def _run(
    bids: Path, out: Path, sessions: list[SessionFiles], options: StudyOptions, resources: Resources, *,
    detail: Detail, log: LogFile, verbose: bool,
) -> int:  # fmt: skip
    from qsmcmb.cli.console import progress, say, say_lines, say_warnings
    from qsmcmb.stages import SUBJECT_STAGES
    from qsmcmb.study.jobs import compare_elsewhere
    from qsmcmb.study.options import exit_code
    from qsmcmb.study.pages import compare_and_report
    from qsmcmb.study.sessions import run_study
    from qsmcmb.study.signals import interruptible

    def finished(outcome: Outcome) -> None:
        log.write("session", name=outcome.name, exit_code=outcome.exit_code, error=outcome.error,
                  warnings=outcome.warnings, seconds=outcome.seconds, unchanged=outcome.unchanged,
                  recalled=outcome.recalled, peak_bytes=outcome.peak_bytes)  # fmt: skip
        say_lines(outcome.error or f"{outcome.name}: {'unchanged' if outcome.unchanged else 'done'}")
        say_warnings(outcome.warnings, name=outcome.name, verbose=verbose)
        if not outcome.exit_code:
            bar.drop([stage for stage in of_scan if stage not in outcome.seconds])
            bar.finish(outcome.name)

    participants = list(dict.fromkeys(s.participant for s in sessions))
    of_scan = options.config.scan_stages(detect=options.detect)
    of_subjects = [stage.name for stage in SUBJECT_STAGES] * len(participants)
    with interruptible(), progress([*of_scan * len(sessions), *of_subjects], len(sessions)) as bar:
        outcomes = run_study(bids, out, options, resources, report=bar.report, say=say, finished=finished)
        failures = _failures(outcomes)
        if resources.cluster:
            failed_pages = compare_elsewhere(
                resources.cluster, out, participants, failures=failures, force=resources.force, say=say,
                report=bar.report, detail=detail, repeatability=options.repeatability,
            )  # fmt: skip
        else:
            failed_pages = compare_and_report(
                out, participants, say=say, n_processes=resources.n_processes, report=bar.report, failures=failures,
                only_stale=True, force=resources.force, detail=detail,
                repeatability=options.repeatability,
            )  # fmt: skip
    for line in _quality_lines(out, outcomes):
        say(line)
    code = exit_code(outcomes)
    good = sum(not o.exit_code for o in outcomes)
    unchanged = sum(o.unchanged for o in outcomes)
    before = f", {unchanged} of them by an earlier run" if unchanged else ""
    say(f"{good} of {len(outcomes)} sessions done{before}; results in {out}")
    log.write("end", exit_code=code or int(failed_pages))
    return code or int(failed_pages)


def _quality_lines(out: Path, outcomes: list[Outcome]) -> list[str]:
    """Return a line for each session of bad quality, with the numbers that are bad."""
    from qsmcmb.io.quality_records import quality_findings
    from qsmcmb.io.records import QUALITY
    from qsmcmb.io.results import list_results

    done = {o.name for o in outcomes if not o.exit_code}
    scans = [s for p in dict.fromkeys(o.participant for o in outcomes) for s in list_results(out, p)]
    bad = {
        s.path_name: [f.text for f in quality_findings(s.record(QUALITY)) if f.verdict == "bad"]
        for s in scans
        if s.path_name in done and s.place.path(f"{QUALITY}.json").exists()
    }
    return [f"{name}: quality bad: {'; '.join(numbers)}" for name, numbers in bad.items() if numbers]


def _failures(outcomes: list[Outcome]) -> dict[str, dict[str, str]]:
    failures: dict[str, dict[str, str]] = {}
    for outcome in outcomes:
        if outcome.error:
            failures.setdefault(outcome.participant, {})[outcome.name] = outcome.error
    return failures
