"""What the README promises: each line names the test that holds it, and the source does nothing that is ruled out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NETWORK = {
    "aiohttp", "asyncio", "ftplib", "http", "httpx", "imaplib", "requests", "smtplib", "socketserver", "ssl",
    "telnetlib", "urllib", "urllib3", "websockets", "xmlrpc",
}  # fmt: skip
OF_DATA = {"dill", "joblib", "marshal", "pickle", "shelve", "cloudpickle"}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "spawnl", "execv"}
SUBPROCESS = {"dicom/convert.py", "version.py"}
"""Modules that run a program: dcm2niix, and git for the version; each by a list of words, never by a shell."""
SOCKET = {"io/lock.py"}
"""Modules that import socket: for the machine's name alone."""
SCHEDULER = {"dask", "distributed"}
"""Packages that connect to the scheduler that the user names; one folder imports them."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "qsmcmb").rglob("*.py")):
        yield path.relative_to(ROOT / "qsmcmb").as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_no_network_no_pickle_no_evaluation_and_no_shell() -> None:
    for name, tree in trees():
        found = imported(tree)
        assert not found & (NETWORK | OF_DATA), name
        assert "subprocess" not in found or name in SUBPROCESS, name
        assert "socket" not in found or name in SOCKET, name
        assert not found & SCHEDULER or name.startswith("distributed/"), name
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            of_os = (
                node.func.attr
                if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "os"
                else ""
            )
            assert not {called, of_os} & CALLS, f"{name}:{node.lineno}"
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name in SUBPROCESS:
                assert options.get("shell", "False") == "False", f"{name}:{node.lineno}"
            assert options.get("allow_pickle", "False") == "False", f"{name}:{node.lineno}"


def test_the_machines_name_is_all_that_is_taken_of_sockets() -> None:
    for name, tree in trees():
        if name in SOCKET:
            used = {
                n.attr
                for n in ast.walk(tree)
                if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "socket"
            }
            assert used == {"gethostname"}


PROMISES = re.findall(
    r"^- .+?(?=^- |^$)", README.partition("## What it promises")[2].partition("\n## ")[0], re.M | re.S
)


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 7


@pytest.mark.parametrize("promise", PROMISES, ids=lambda text: text[2:50])
def test_each_promise_names_tests_that_there_are(promise: str) -> None:
    links = re.findall(r"\]\((tests/[\w/]+\.py)\)", promise)
    assert links
    assert all((ROOT / link).is_file() for link in links)
