"""The pages are true: their code runs, their commands parse, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import typer

import qsmcmb as qc
from qsmcmb.cli.arguments import VERBOSE, expand_lists
from qsmcmb.cli.main import app
from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.config import make_config
from qsmcmb.units import GAMMA_MHZ_PER_T

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs" / "reference" / "generated"
"""Pages that `make docs` writes from the code: test_generated_pages.py looks at them."""
PAGES = sorted(
    {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")}
    - set(GENERATED.glob("*.md")),
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
LESION_MM = (12.0, -30.5, 8.0)
"""Where the README looks for one."""
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


class Block(NamedTuple):
    """A fenced block: page, line of its fence, language and text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks() -> Iterator[Block]:
    """Yield the fenced blocks of all pages."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            yield Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])


BLOCKS = list(blocks())
SHELL = [
    (block, line.strip())
    for block in BLOCKS
    if block.language in ("", "sh", "bash")
    for line in block.text.replace("\\\n", " ").splitlines()
    if line.strip()
]
INLINE = [
    (page, command)
    for page in PAGES
    for command in re.findall(r"`qsmcmb ([a-z][^`]*)`", page.read_text(encoding="utf-8"))
]


def of_language(language: str) -> list[Block]:
    """Return the blocks of a language, without those of the tutorials, which test_tutorials.py runs."""
    return [b for b in BLOCKS if b.language == language and b.page.parent.name != "tutorials"]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the data set `bids`: a ball of water with a small source where the README looks."""
    folder = tmp_path_factory.mktemp("pages")
    grid = Grid.isotropic((32, 32, 32), 2.0)
    affine = np.array(grid.affine)
    affine[:3, 3] += LESION_MM
    grid = replace(grid, affine=affine)
    away_mm = np.linalg.norm(np.stack(np.meshgrid(*[2.0 * (np.arange(32) - 16)] * 3, indexing="ij")), axis=0)
    water = away_mm < 26
    field_ppm = qc.forward_field(np.where(away_mm < 2.5, 0.5, 0.0).astype(np.float32), grid)
    te_s = (0.005, 0.012, 0.019)
    noise = np.random.default_rng(5).normal(0, 0.01, (2, 3, 32, 32, 32))
    signal = noise[0] + 1j * noise[1]
    signal += [water * np.exp((2j * np.pi * GAMMA_MHZ_PER_T * 3 * field_ppm - 20) * t) for t in te_s]
    phase, magnitude = np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)
    write_raw_dataset(folder / "bids", "a ball of water")
    write_raw_scan(folder / "bids", GreScan(phase, magnitude, te_s, 3.0, grid), "01", "1")
    return folder


@pytest.mark.parametrize("block", of_language("python"), ids=lambda b: b.name)
def test_python_blocks_run(block: Block, data_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_set)
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", of_language("toml"), ids=lambda b: b.name)
def test_toml_blocks_are_configurations(block: Block) -> None:
    make_config(tomllib.loads(block.text))


def parse(command: str) -> None:
    """Parse a command line of qsmcmb without running it."""
    name, *arguments = [w for w in shlex.split(command, comments=True) if w not in VERBOSE]
    if name != "--version":
        COMMANDS[name].make_context(name, expand_lists(arguments))


@pytest.mark.parametrize(("block", "line"), SHELL, ids=[f"{b.name}-{line[:40]}" for b, line in SHELL])
def test_shell_lines_name_what_there_is(block: Block, line: str) -> None:
    program, *words = shlex.split(line, comments=True) or ["#"]
    if program == "qsmcmb":
        parse(line.removeprefix("qsmcmb "))
    elif program == "python":
        assert (ROOT / words[0]).is_file()
    elif program == "make":
        assert words[0] in TARGETS
    else:
        assert program in ("#", "pip", "git", "cd", "source", "python3")


@pytest.mark.parametrize(("page", "command"), INLINE, ids=[command for _, command in INLINE])
def test_commands_in_the_text_have_these_options(page: Path, command: str) -> None:
    name = command.split()[0]
    assert name in COMMANDS
    options = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts)}
    assert set(re.findall(r"--[a-z][\w-]*", command)) - options - {"--help"} == set()


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", h.lower()).strip().replace(" ", "-") for h in found}


@pytest.fixture(scope="module")
def generated() -> set[str]:
    """Return the names of the pages that are written from the code."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from _extensions import reference_pages
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return set(reference_pages.PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path, generated: set[str]) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.parent == GENERATED:
            # Its headings are those of the written page: the build of the site checks them.
            assert target.name in generated, link
            continue
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_every_page_is_found_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)\s#:]+)[^)]*\)", text)
        waiting += [t for t in ((page.parent / link).resolve() for link in links) if t.is_file()]
        for listed in re.findall(
            r"^```\{toctree\}\n(?::\w+:[^\n]*\n)*(.*?)^```$", text, re.MULTILINE | re.DOTALL
        ):
            waiting += [found for entry in listed.split() for found in page.parent.glob(f"{entry}.md")]
    assert {p for p in PAGES if p.is_relative_to(ROOT / "docs")} - seen == set()


def test_pages_that_the_source_names_exist() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), page)
        for folder in ("qsmcmb", "benchmarks", "tests", "docs")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".md")
        for page in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert named
    assert [n for n in sorted(named) if not (ROOT / n[1]).is_file()] == []


@pytest.mark.parametrize("page", [p for p in PAGES if "notes" not in p.parts], ids=lambda p: p.name)
def test_source_files_that_pages_name_exist(page: Path) -> None:
    code = " ".join(re.findall(r"`[^`\n]+`", page.read_text(encoding="utf-8")))
    named = set(re.findall(r"[\w/-]+\.py\b|(?<![.\w])qsmcmb/\w+\b", code))
    paths = [
        p.relative_to(ROOT).as_posix()
        for f in ("qsmcmb", "benchmarks", "data", "docs", "tests")
        for p in (ROOT / f).rglob("*")
    ]
    assert [n for n in named if not any(f"/{path}".endswith(f"/{n}") for path in paths)] == []


ANSWERS = re.findall(
    r"^\|[^|]+\| `([\w/]+\.py)`[^|]*\| `(\w+)` \|$",
    (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.parametrize(("file", "name"), ANSWERS, ids=[name for _, name in ANSWERS])
def test_names_of_the_architecture_stand_in_their_files(file: str, name: str) -> None:
    source = (ROOT / "qsmcmb" / file).read_text(encoding="utf-8")
    assert re.search(rf"^(?:def |class )?{name}\b", source, re.MULTILINE)
