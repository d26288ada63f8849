"""Entry point: the commands, and what becomes of their errors."""

from __future__ import annotations

import io
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qsmcmb.cli import (
    background,
    check,
    cohort,
    demo,
    detect,
    explain,
    explain_point,
    export,
    fieldmap,
    import_,
    invert,
    longitudinal,
    mask,
    methods,
    phantom,
    power,
    quantify,
    r2star,
    recon,
    regions,
    repeatability,
    report,
    review,
    run,
    selftest,
    status,
    swi,
    unwrap,
    validate,
    why,
)  # fmt: skip
from qsmcmb.cli.arguments import VERBOSE, expand_lists
from qsmcmb.cli.console import say, say_lines
from qsmcmb.errors import EXIT_BUG, EXIT_MEMORY, EXIT_OK, EXIT_USAGE, ConfigError, Interrupted, QsmcmbError

__all__ = ("app", "main", "run_command")

app = typer.Typer(
    name="qsmcmb", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]}, pretty_exceptions_enable=False,
    epilog="\b\nExample: qsmcmb run bids derivatives/qsmcmb participant --participant-label 01",
)  # fmt: skip
# In the order in which a user meets them.
for module in (
    demo, import_, check, run, recon, quantify, phantom, validate, selftest, mask, unwrap, fieldmap, background,
    invert, r2star, swi, detect, longitudinal, repeatability, regions, cohort, power, review, report, status, why,
    export, methods, explain, explain_point,
):  # fmt: skip
    module.add(app)


def _version(wanted: bool) -> None:
    if wanted:
        from qsmcmb import __version__

        print(f"qsmcmb {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Total susceptibility of cerebral microbleeds from gradient-echo phase.

    Every command takes -v (--verbose): warnings as they come, and where an error arose.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments; those of the process by default.

    Examples
    --------
    >>> main(["methods", "nonesuch"])
    Traceback (most recent call last):
    SystemExit: 2
    """
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; return the exit code.

    Parameters
    ----------
    arguments : sequence of str
        Arguments, without the program's name.

    Returns
    -------
    int
        Exit code.

    Examples
    --------
    >>> run_command(["methods", "nonesuch"])
    2
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows its number; it is no reason to stop.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    command = typer.main.get_command(app)
    verbose = any(a in VERBOSE for a in arguments)
    plain = expand_lists([a for a in arguments if a not in VERBOSE])
    try:
        code = command.main(plain, prog_name="qsmcmb", standalone_mode=False, obj=verbose)
        sys.stdout.flush()
        return int(code or EXIT_OK)
    except QsmcmbError as error:
        if verbose:
            say_lines("".join(traceback.format_exception(error)))
        say(str(error) if not isinstance(error, ConfigError) else f"ERROR USAGE {error}")
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output left: nothing more to say, and no complaint at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_OK
    except (KeyboardInterrupt, Interrupted) as error:
        # Results have their final names once they are whole, so that the same command goes on from them.
        say(f"interrupted; what is done is whole. To resume: {shlex.join(['qsmcmb', *arguments])}")
        return getattr(error, "exit_code", 130)
    except MemoryError as error:
        say(f"ERROR MEM {error}; fix: free memory, or fewer processes (--nprocs 1)")
        return EXIT_MEMORY
    except OSError as error:
        return _os_error(error)
    except Exception as error:
        return _other(error)


def _os_error(error: OSError) -> int:
    from qsmcmb.io.atomic import write_failure

    failure = write_failure(error, Path(error.filename or "output"))
    say(str(failure))
    return failure.exit_code


def _other(error: Any) -> int:
    # typer carries its own click or uses the installed one: known by what they can do, not by class.
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        shown = io.StringIO()
        error.show(file=shown)
        say_lines(shown.getvalue())
        return int(error.exit_code)
    if hasattr(error, "exit_code"):
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        return EXIT_USAGE
    say_lines("".join(traceback.format_exception(error)))
    say("ERROR BUG: this is a fault of qsmcmb. Please report it with the lines above")
    return EXIT_BUG
