"""Write the folder of a QSM-CI submission: algorithm.yml, run.sh, stage.py, Dockerfile.

    python make_submission.py dipole tv OUT                  one method of a stage
    python make_submission.py end-to-end vsharp,tv OUT       a span: a method for each stage that has a choice

The parameters in algorithm.yml are the method's options, read from its signature and docstring.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import shutil
from pathlib import Path

from stage import STAGES

from qsmcmb import __version__
from qsmcmb.core.methods import resolve
from qsmcmb.pipeline.config import STAGES as FAMILIES
from qsmcmb.pipeline.config import make_config
from qsmcmb.stages import SCAN_STAGES

# The stages of the pipeline whose methods a submission names, in this order.
NAMED = {
    "brain-extraction": ("mask",), "field-mapping": ("fieldmap",), "bfr": ("background",), "dipole": ("invert",),
    "unwrap+bfr": ("background",), "bfr+dipole": ("background", "invert"), "end-to-end": ("background", "invert"),
}  # fmt: skip
DOCKERFILE = """FROM python:3.12-slim
# A wheel or the address of the repository.
ARG QSMCMB=qsmcmb
RUN pip install --no-cache-dir "$QSMCMB"
"""


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("methods", help="keys as `qsmcmb methods` lists them, with commas in a span")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    chosen = dict(zip(NAMED[options.stage], options.methods.split(","), strict=True))
    write_submission(options.stage, chosen, options.out)


def write_submission(stage: str, chosen: dict[str, str], out: Path) -> None:
    """Write the submission of some methods, by stage of the pipeline."""
    config = make_config({part: {"method": method} for part, method in chosen.items()})
    slug = f"{'-'.join(chosen.values())}-qsmcmb".replace("_", "-")
    lines = [
        f"name: {' and '.join(m.upper() for m in chosen.values())} (qsmcmb)",
        f"slug: {slug}",
        f"algorithm: {'-'.join(chosen.values())}",
        "source: qsmcmb",
        f"stage: {stage}",
        "language: Python",
        "learning: none",
        f"engine: qsmcmb {__version__}",
        f"description: {json.dumps(' '.join(_summary(p, m) for p, m in chosen.items()))}",
        f"doi: {_doi(*list(chosen.items())[-1])}",
        "license: BSD-3-Clause",
        "run: bash run.sh",
    ]
    if stage in ("bfr", "dipole", "bfr+dipole"):
        lines += ["optional_inputs:", "  - magnitude"]
    lines += ["parameters:"]
    for part in chosen:
        for name, value in config.bound(part).items():
            if name != "method":
                known = name if len(chosen) == 1 else f"{part}_{name}"
                lines += [f"- name: {known}", f"  default: {json.dumps(value)}"]
                lines += [f"  description: {json.dumps(_described(part, chosen[part], name))}"]
    settings = " ".join(f"--set {p}_method={m}" for p, m in chosen.items())
    out.mkdir(parents=True, exist_ok=True)
    (out / "algorithm.yml").write_text("\n".join(lines) + "\n")
    (out / "Dockerfile").write_text(DOCKERFILE)
    (out / "run.sh").write_text(
        "#!/usr/bin/env bash\nset -euo pipefail\n"
        'HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"\n'
        f'exec "${{PYTHON:-python3}}" "$HERE/stage.py" {stage} {settings} '
        '--input "${1:-/input}" --output "${2:-/output}"\n'
    )
    shutil.copy(Path(__file__).with_name("stage.py"), out / "stage.py")


def _summary(part: str, method: str) -> str:
    return (resolve(FAMILIES[part][0], method).__doc__ or "").strip().split("\n")[0]


def _doi(part: str, method: str) -> str:
    """Return the DOI of the method's first reference."""
    stage = next(s for s in SCAN_STAGES if s.name == part)
    return stage.descriptions[method].references[0].doi


def _described(part: str, method: str, option: str) -> str:
    """Return what the docstring says of an option, one line."""
    text = inspect.getdoc(resolve(FAMILIES[part][0], method)) or ""
    found = re.search(rf"^(?:\w+, )*{option}\b[^\n]*:[^\n]*\n((?: {{4}}[^\n]*\n?)+)", text, re.MULTILINE)
    return " ".join(found.group(1).split()) if found else ""


if __name__ == "__main__":
    main()
