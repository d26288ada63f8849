"""Table of measured errors that `qsmcmb power` draws from, out of the tables that `qsmcmb validate` leaves.

    qsmcmb validate OUT --only fields --only counts [--quick]
    python benchmarks/measured_errors.py OUT data/cohorts/measured_errors.tsv

Each row is one lesion of one simulated scan: true and estimated total susceptibility with the reported SD, detection
limit, and whether a reader would see it on the longest echo's magnitude and the detector finds it (n/a where the maps
were not made).
"""

from __future__ import annotations

import sys
from pathlib import Path

from qsmcmb.cohorts.measured_errors import COLUMNS, IRREGULAR, REGULAR
from qsmcmb.io.tables import read_tsv, write_tsv
from qsmcmb.phantoms.recipe import IRREGULAR_SHAPES

EXPERIMENTS = ("fields", "counts")


def rows_of(out: Path) -> list[dict[str, str | float | None]]:
    """Return the rows of all sessions, microbleeds alone."""
    rows: list[dict[str, str | float | None]] = []
    for path in sorted(p for e in EXPERIMENTS for p in (out / "tables" / e).glob("*.tsv")):
        for row in read_tsv(path):
            if row["kind"] != "microbleed" or row["estimate_ppm_mm3"] is None:
                continue
            thick = "thick " if str(row["session"]).startswith("thick") else ""
            made: dict[str, str | float | None] = {
                "protocol": f"{thick}{float(str(row['b0_tesla'])):g} T",
                "shape": IRREGULAR if row["shape"] in IRREGULAR_SHAPES else REGULAR,
            }
            rows.append(made | {name: row[name] for name in COLUMNS if name not in made})
    return sorted(rows, key=lambda r: (str(r["protocol"]), str(r["shape"]), float(str(r["truth_ppm_mm3"]))))


def main() -> None:
    """Write the table."""
    out, path = (Path(argument) for argument in sys.argv[1:])
    rows = rows_of(out)
    write_tsv(path, rows, COLUMNS)
    print(f"{len(rows)} measurements: {path}")


if __name__ == "__main__":
    main()
