"""Rules that hold the tree together."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest
from numpydoc.docscrape import FunctionDoc

import qsmcmb
from qsmcmb.core.methods import resolve
from qsmcmb.pipeline.config import STAGES

METHODS = [(stage, name) for stage, (methods, _) in STAGES.items() for name in methods]


def public_functions() -> list[str]:
    return [n for n in qsmcmb._PUBLIC if inspect.isfunction(getattr(qsmcmb, n))]


def test_no_package_has_the_name_of_a_public_function() -> None:
    packages = {m.name for m in pkgutil.iter_modules(qsmcmb.__path__)}
    assert not packages & set(qsmcmb.__all__)


@pytest.mark.parametrize("name", qsmcmb.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(qsmcmb, name) is not None


def test_a_misspelt_public_name_fails() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'invret'"):
        _ = qsmcmb.invret


@pytest.mark.parametrize(("stage", "name"), METHODS)
def test_methods_resolve_and_document_their_parameters(stage: str, name: str) -> None:
    function = resolve(STAGES[stage][0], name)
    assert documented(function) == list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", public_functions())
def test_documented_names_are_the_signature(name: str) -> None:
    function = getattr(qsmcmb, name)
    assert documented(function) == list(inspect.signature(function).parameters)


def documented(function: object) -> list[str]:
    names: list[str] = []
    for parameter in FunctionDoc(function)["Parameters"]:
        names += [n.strip() for n in parameter.name.split(",")]
    return names


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["invert", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, io, contextlib\n"
        "from qsmcmb.cli.main import run_command\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert run_command({arguments!r}) == 0\n"
        "print(sorted({'numba', 'scipy', 'numpy', 'nibabel', 'matplotlib', 'SimpleITK', 'pandas'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_command_shows_an_example() -> None:
    from qsmcmb.cli.main import app

    for command in app.registered_commands:
        assert "Example: qsmcmb" in (command.epilog or ""), command.callback


def test_every_module_imports() -> None:
    for module in pkgutil.walk_packages(qsmcmb.__path__, "qsmcmb."):
        importlib.import_module(module.name)
