"""`qsmcmb methods`: the methods of each stage, with their options."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: qsmcmb methods invert")
    def methods(
        family: Annotated[
            str, typer.Argument(metavar="[FAMILY]", help="Stage, e.g. invert; all by default.")
        ] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """List methods with their options and defaults."""
        from qsmcmb.errors import ConfigError
        from qsmcmb.pipeline.config import STAGES

        if family and family not in STAGES:
            raise ConfigError(f"family {family!r}; expected one of: {', '.join(STAGES)}")
        chosen = [family] if family else list(STAGES)
        listed = {stage: {name: _describe(stage, name) for name in STAGES[stage][0]} for stage in chosen}
        if as_json:
            print(json.dumps(listed, indent=2))
            return
        for stage, members in listed.items():
            for name, about in members.items():
                mark = " (default)" if name == STAGES[stage][1] else ""
                start = f" [starts from: {about['starts_from']}]" if "starts_from" in about else ""
                print(f"{stage}\t{name}{mark}\t{about['summary']}{start}")
                for option, value in about["options"].items():
                    print(f"\t\t--set {option}={value}")


def _describe(stage: str, name: str) -> dict[str, Any]:
    from qsmcmb.core.methods import resolve
    from qsmcmb.dipole_inversion.head import starting_point
    from qsmcmb.pipeline.config import STAGES, make_config

    summary = (resolve(STAGES[stage][0], name).__doc__ or "").strip().split("\n")[0]
    options = make_config({stage: {"method": name}}).bound(stage)
    options.pop("method")
    start = {"starts_from": starting_point(name)} if stage == "invert" else {}
    return {"summary": summary, **start, "options": options}
