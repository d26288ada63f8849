"""Help says what a command does, in whole sentences and the user's words, at once, with an example that parses."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer

from qsmcmb.cli.arguments import LIST_OPTIONS, expand_lists
from qsmcmb.cli.main import app, run_command

GROUP = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands  # type: ignore[attr-defined]
HEAVY = {"numba", "scipy", "numpy", "nibabel", "matplotlib", "SimpleITK", "pandas", "jinja2"}
MAX_SECONDS = 0.5
"""Processor time of help, start of the interpreter included."""
WIDTHS = (50, 80, 200)


def help_of(*arguments: str) -> str:
    """Return what a command prints for its help."""
    context = GROUP.make_context("qsmcmb", [], resilient_parsing=True)
    for name in arguments:
        context = COMMANDS[name].make_context(name, [], parent=context, resilient_parsing=True)
    return str(context.command.get_help(context))


def example_of(name: str) -> list[str]:
    """Return the arguments of the example in a command's help."""
    (line,) = [line for line in help_of(name).splitlines() if "Example:" in line]
    words = shlex.split(line.partition("Example: ")[2])
    assert words[:2] == ["qsmcmb", name]
    return words[1:]


@pytest.mark.parametrize("width", WIDTHS)
def test_summaries_are_whole_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    listed = " ".join(help_of().split())
    assert "..." not in listed.replace("[ARGS]...", "")
    for name, command in COMMANDS.items():
        assert f"{name} {command.short_help} " in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_is_one_short_sentence(name: str) -> None:
    summary = COMMANDS[name].short_help
    assert re.fullmatch(r"[A-Z][^\n]*[^.]\.", summary)
    assert len(f"  {max(COMMANDS, key=len)}  {summary}") <= 80
    assert help_of(name).splitlines()[2].strip().startswith(summary[:40])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_no_types_of_the_language(name: str) -> None:
    text = help_of(name)
    assert not re.search(r"<[\w\[\], .]+>|\b(Path|str|int|float|None)\b|\blist\[", text)
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        if not getattr(parameter, "is_flag", False):
            assert re.fullmatch(r"[A-Z_]+(=[A-Z]+)?(\.\.\.)?( [A-Z]+)*", parameter.metavar or ""), (
                parameter.name
            )
        # What may be repeated or listed says so.
        if getattr(parameter, "multiple", False) and set(parameter.opts) & set(LIST_OPTIONS) - {"--set"}:
            assert parameter.metavar.endswith("...")


@pytest.mark.parametrize("name", COMMANDS)
def test_example_stands_on_one_line_and_parses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    words = expand_lists(example_of(name))
    parent = GROUP.make_context("qsmcmb", [name], resilient_parsing=True)
    context = COMMANDS[name].make_context(name, words[1:], parent=parent)
    given = {w for w in words if w.startswith("-") and not re.fullmatch(r"-[\d.]+", w)}
    assert given <= {option for p in COMMANDS[name].params for option in p.opts}
    assert set(context.params) >= {p.name for p in COMMANDS[name].params if p.required}


def test_the_first_example_parses() -> None:
    (line,) = [line for line in help_of().splitlines() if "Example:" in line]
    words = expand_lists(shlex.split(line.partition("Example: ")[2])[1:])
    parent = GROUP.make_context("qsmcmb", words[:1], resilient_parsing=True)
    assert (
        COMMANDS[words[0]].make_context(words[0], words[1:], parent=parent).params["level"] == "participant"
    )


def test_a_wrong_example_would_not_parse() -> None:
    parent = GROUP.make_context("qsmcmb", ["swi"], resilient_parsing=True)
    with pytest.raises(Exception, match=r"(?i)no such option"):
        COMMANDS["swi"].make_context("swi", ["--phases", "x"], parent=parent)


@pytest.mark.parametrize(
    "arguments", [[], *([name] for name in COMMANDS)], ids=lambda a: " ".join(a) or "qsmcmb"
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from qsmcmb.cli.main import run_command\n"
        f"assert run_command({[*arguments, '--help']!r}) == 0\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_takes_less_than_half_a_second() -> None:
    """The best of three: a busy machine makes a process slower, never faster."""
    code = "import sys; from qsmcmb.cli.main import run_command; sys.exit(run_command(['--help']))"
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < MAX_SECONDS


def test_methods_show_sentence_and_literature(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["methods", "unwrap"]) == 0
    shown = capsys.readouterr().out
    assert "unwrap\tromeo (default)\tThe phase was unwrapped with ROMEO, which" in shown
    assert "doi:10.1002/mrm.28563" in shown
