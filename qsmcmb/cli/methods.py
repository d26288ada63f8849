"""`qsmcmb methods`: the methods of each stage, with their options."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

import typer

from qsmcmb.cli.command import command

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="methods invert")
    def methods(
        family: Annotated[
            str, typer.Argument(metavar="STAGE", help="Stage, e.g. invert; all by default.")
        ] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """List methods with their options, defaults and references."""
        from qsmcmb.errors import ConfigError
        from qsmcmb.pipeline.config import STAGES

        if family and family not in STAGES:
            raise ConfigError(f"family {family!r}; expected one of: {', '.join(STAGES)}")
        chosen = [family] if family else list(STAGES)
        listed = {stage: {name: _describe(stage, name) for name in STAGES[stage].methods} for stage in chosen}
        if as_json:
            print(json.dumps(listed, indent=2))
            return
        for stage, members in listed.items():
            for name, about in members.items():
                mark = " (default)" if name == STAGES[stage].default else ""
                start = f" [starts from: {about['starts_from']}]" if "starts_from" in about else ""
                print(f"{stage}\t{name}{mark}\t{about['sentence']}{start}")
                for option, value in about["options"].items():
                    print(f"\t\t--set {option}={value}")
                for reference in about["references"]:
                    print(f"\t\t{reference['text']}")


def _describe(stage: str, name: str) -> dict[str, Any]:
    from qsmcmb.dipole_inversion.head import starting_point
    from qsmcmb.pipeline.config import make_config
    from qsmcmb.stages import SCAN_STAGES

    description = {s.name: s.descriptions for s in SCAN_STAGES}[stage].get(name)
    options = make_config({stage: {"method": name}}).bound(stage)
    options.pop("method")
    start = {"starts_from": starting_point(name)} if stage == "invert" else {}
    references = description.references if description else ()
    return {
        "sentence": description.sentence if description else "",
        **start,
        "options": options,
        "references": [{**dataclasses.asdict(r), "text": r.text} for r in references],
    }
