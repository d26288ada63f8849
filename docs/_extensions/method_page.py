"""The pages of methods and of the configuration, from the methods' own signatures, docstrings and descriptions."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any

from _extensions.documented import parameters_of, table
from qsmcmb.core.methods import Description, resolve
from qsmcmb.core.references import Reference
from qsmcmb.dipole_inversion.head import starting_point
from qsmcmb.io.input_options import InputOptions
from qsmcmb.pipeline.config import STAGES, make_config
from qsmcmb.stages import SCAN_STAGES, Stage

__all__ = ("cited", "render_configuration", "render_methods")

METHODS_OPENING = """# Methods

Every stage that has a choice, with its methods, their options and defaults. `qsmcmb methods` prints the same list. A
method is chosen by `--method` of the stage's command, and by [the configuration](configuration.md) of a run.
"""
CONFIGURATION_OPENING = """# Configuration

`--config-file` takes a TOML file with a table for each stage: the key `method`, and the method's options beside it.
What is not there has its default. An unknown key is refused, and the message lists the known ones.
`qsmcmb run BIDS OUT participant --dry-run` prints the whole configuration of a run.
The options of every method are in [methods](methods.md).
"""


def cited(reference: Reference) -> str:
    """Return the entry of a bibliography with its DOI as a link."""
    text = reference.text.removesuffix(f" doi:{reference.doi}")
    return f"{text} [doi:{reference.doi}](https://doi.org/{reference.doi})"


def render_methods() -> str:
    """Return the page: a section for each stage, and one in it for each method."""
    return "\n".join([METHODS_OPENING, *(_stage(stage) for stage in SCAN_STAGES if stage.methods)])


def _stage(stage: Stage) -> str:
    listed = table(
        ("method", "name in the literature", ""),
        (
            (f"`{name}`", _described(stage, name), "default" if name == stage.default else "")
            for name in stage.methods
        ),
    )
    start = f"## {stage.name}\n\n{stage.summary[0].upper()}{stage.summary[1:]}.\n\n{listed}"
    return "\n".join([start, *(_method(stage, name) for name in stage.methods)])


def _described(stage: Stage, name: str) -> str:
    description = stage.descriptions.get(name)
    return description.name if description else ""


def _method(stage: Stage, name: str) -> str:
    function = resolve(stage.methods, name)
    options = {
        k: v
        for k, v in make_config({stage.name: {"method": name}}).bound(stage.name).items()
        if k != "method"
    }
    meaning = parameters_of(function)
    rows = [(f"`{k}`", f"`{v!r}`", meaning.get(k, "")) for k, v in options.items()]
    description: Description | None = stage.descriptions.get(name)
    lines = [f"### {stage.name}: {name}\n"]
    lines += [f"{description.sentence}\n"] if description else []
    lines += [f"It starts from: {starting_point(name)}.\n"] if stage.name == "invert" else []
    lines.append(table(("option", "default", "meaning"), rows) or "It has no options.\n")
    lines += [f"- {cited(r)}" for r in (description.references if description else ())]
    return "\n".join(lines) + "\n"


def render_configuration() -> str:
    """Return the page: the table of what is read, and every stage with its default."""
    written = make_config().to_toml()
    tables: dict[str, Any] = tomllib.loads(written)
    meaning = parameters_of(InputOptions)
    stated = table(("key", "meaning"), ((f"`{f.name}`", meaning[f.name]) for f in fields(InputOptions)))
    stages = table(
        ("table", "methods", "default"),
        (
            (f"`[{name}]`", ", ".join(f"`{m}`" for m in STAGES[name].methods), f"`{tables[name]['method']}`")
            for name in STAGES
        ),
    )
    return "\n".join(
        [
            CONFIGURATION_OPENING,
            f"## The table [input]\n\nWhat you state about the stored phase, where the files do not.\n\n{stated}",
            f"## The tables of the stages\n\n{stages}",
            f"## All defaults, written out\n\n```toml\n{written}```",
        ]
    )
