"""Tables of the leaderboard, from the records of all runs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from leaderboard_cases import NAMES, methods_of
from leaderboard_plots import pictures
from leaderboard_run import SPEED

Record = dict[str, Any]

TITLES = {
    "masking": "Masking", "unwrapping": "Unwrapping", "field_mapping": "Field mapping",
    "background_removal": "Background removal", "dipole_inversion": "Inversion", "relaxometry": "R2*",
}  # fmt: skip
# Those with a table of their own for the core, and pictures.
MAPPED = ("background_removal", "dipole_inversion")
SESSIONS = {"15T": "1.5 T", "3T": "3 T", "3Tfollowup": "3 T later", "7T": "7 T"}
GROUPS = {
    "L": "Bench phantom L", "S": "Bench phantom S", "head": "The project's head phantom", "dev": "Dev heads",
}  # fmt: skip
# Sorted by the first of these that a record has.
RANKED = ("nrmse_core", "nrmse", "wrong_wraps", "moment_error_core", "tkd_moment_error_core", "off_in_time")
# Score -> (heading, decimals); a column appears where a record has it.
COLUMNS = {
    "dice": ("Dice %", 1), "brain_kept": ("brain kept %", 1), "lesions_kept": ("lesions kept %", 0),
    "wrong_wraps": ("wrong wraps %", 4), "wrong_wraps_worst": ("worst echo %", 4), "off_in_time": ("off in time %", 4),
    "nrmse": ("NRMSE %", 1), "nrmse_brain": ("whole brain %", 1), "nrmse_detrended": ("detrended %", 1),
    "hfen": ("HFEN %", 1), "xsim": ("XSIM", 3), "regions": ("nuclei %", 1),
    "moment": ("moment", 3), "moment_spread": ("its spread", 3), "moment_error": ("moment error %", 1),
    "streaks": ("streaks %", 2), "cone_streaks": ("cones %", 1), "lesions": ("lesions", 0), "kept": ("mask kept %", 1),
    "tkd_moment": ("moment by TKD", 3), "tkd_moment_error": ("its error %", 1), "tkd_lesions": ("lesions", 0),
    "rms_error_ppb": ("rms error ppb", 2),
    "median_error_ppb": ("median error ppb", 2), "error_over_sd": ("error / SD", 2), "median_sd_ppb": ("SD ppb", 2),
    "median_error_hz": ("median error 1/s", 2), "median_hz": ("median 1/s", 1),
}  # fmt: skip
ABOUT = """# Leaderboard

Every method on phantoms with a known truth. Rebuild: `python benchmarks/leaderboard.py --phantom S L head dev`; all
numbers are in [leaderboard/results.json](leaderboard/results.json).

- **Phantoms.** S (128x128x96) and L (256x256x160) are the bench phantom: ellipsoids and 12 microbleeds, no
  dephasing within voxels, so maps and moments are optimistic: they compare implementations, not methods. The
  project's head and the dev heads form the signal on a finer grid, with dephasing; of the dev heads the lesions'
  total susceptibility alone is known.
- **Input.** Each method starts from the best that its stage can get: background removal from the total field with
  noise, inversion from the true local field with noise (on the dev heads: from the default pipeline's), so that its
  errors are its own.
- **Scores** are in the method's own mask and once more in the *core*, the brain without its outer 6 voxels, the same
  for all (of background removal, what the method's mask leaves of it); *whole brain* counts 0 where a method gives
  nothing: erosion wins nothing. Moment: recovered over true total susceptibility of the lesions in that mask, their
  median (on heads of those of 2 ppm mm³ and more); spread: its interquartile range. Streaks: SD of the error in a
  shell around lesions over their contrast; cones: what of the map around lesions follows the angle to B0, over their
  contrast, which needs no truth of the tissue. Nuclei: rms error of regions' means. Maps of heads are scored without
  the outermost voxel. Definitions: `qsmcmb/validation/scores.py`, `benchmarks/leaderboard_scores.py`.
- **Heads** have a table of several sessions: a cell holds 1.5 T / 3 T / 7 T. They are not timed: they were run beside
  other work. Their local field is weak (SD 5 ppb in the brain; the total field's is 460), so that an NRMSE of
  background removal of 100 % is an error of 5 ppb.
- **Speed.** Seconds of a call whose loops are compiled and whose transforms are planned, the fastest of some; *pairs*:
  each call's time in forward and inverse transforms of the full grid made just before and after it, the median of
  the calls, which compares machines; *floor*, in pairs too: the transforms that the method makes on its own grids, as
  fast as any run has met them, and the bytes that its loops must move over the bandwidth of a copy. Between two
  transforms each array that loops touch counts once, read or written; of the arrays of the mask's box counts the
  share that the mask fills; what NumPy moves does not count. To that comes mapping the memory of one result, as fast
  as any run has met it, for a result cannot lie where an earlier one does. Nothing counts of what loops compute.
  *Volumes*: memory beyond the input, results of all echoes included, in float32 volumes of the working grid: that of
  the transforms, the mask's box without any, all of the grid for masking.
- **Peers** are other open implementations of the same method on the same phantom, as measured on another machine:
  compare pairs. *Faster*: than the fastest peer, in pairs; of unwrapping, in pairs an echo.
"""


def write_pages(results: Path, docs: Path, *, note: str = "") -> None:
    """Write leaderboard.md, its plots and results.json under `docs`."""
    folder = docs / "leaderboard"
    records = gather(results, folder / "results.json")
    if not records:
        print("no results: no pages")
        return
    add_costs(records)
    peers = tomllib.loads(Path(__file__).with_name("peers.toml").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(records, indent=1) + "\n")
    parts = [ABOUT, *([note + "\n"] if note else [])]
    for group, title in GROUPS.items():
        chosen = [r for r in records if r["case"].split("-")[0] == group]
        if not chosen:
            continue
        parts.append(f"## {title}\n\n{_setting(chosen)}\n")
        known = peers.get(group, {})
        for family, heading in TITLES.items():
            rows = [r for r in chosen if r["family"] == family]
            if rows:
                parts.append(f"### {heading}\n")
                parts += [f"{t}\n" for t in _tables(rows, known)]
                names = pictures(rows, known, results, folder, group) if family in MAPPED else []
                parts += [f"![{heading}, {title}](leaderboard/{name})\n" for name in names]
    (docs / "leaderboard.md").write_text("\n".join(parts))


def gather(results: Path, kept: Path) -> list[Record]:
    """Return the records of the results at hand, and of `kept` what they lack: other runs, speed where not timed."""
    old = {_key(r): r for r in (json.loads(kept.read_text()) if kept.exists() else [])}
    new = {_key(r): r for r in (json.loads(p.read_text()) for p in results.glob("*/*.json"))}
    for key, record in new.items():
        if record["seconds"] is None and key in old:
            record.update({name: old[key].get(name) for name in SPEED})
    known = {family: methods_of(family) for family in TITLES}
    return [r for key, r in sorted((old | new).items()) if r["method"] in known[r["family"]]]


def _key(record: Record) -> tuple[int, str, str, str]:
    case = record["case"]
    return NAMES.index(case.split("-")[0]), case, record["family"], record["method"]


def add_costs(records: list[Record]) -> None:
    """Add to each timed record its time in pairs and over its floor; None to others.

    The floor is that of the fastest transforms that any run has met; a method's time in pairs, of pairs made beside its
    calls, so that a machine with other things to do slows both.
    """
    pair_s: dict[str, float] = {}
    timed = [r for r in records if r["seconds"] is not None]
    for record in timed:
        for shape, seconds in record["pair_s"].items():
            pair_s[shape] = min(seconds, pair_s.get(shape, seconds))
    for record in records:
        record |= dict.fromkeys(("full_pair_s", "pairs", "floor_s", "floor_ratio"))
    bytes_per_s = max((r["bytes_per_s"] for r in timed), default=1.0)
    mapping_s: dict[str, float] = {}
    for record in timed:
        if record.get("mapping_s") is not None:
            case = record["case"]
            mapping_s[case] = min(record["mapping_s"], mapping_s.get(case, np.inf))
    for record in timed:
        record["full_pair_s"] = pair_s[record["grid"]]
        record["pairs"] = record["call_pairs"] or record["seconds"] / record["full_pair_s"]
        pairs = sum(number * pair_s.get(shape, np.inf) for shape, number in record["transform_pairs"].items())
        moved = record["moved_bytes"] / bytes_per_s + mapping_s.get(record["case"], 0.0)
        floor = pairs + moved if 0 < pairs < np.inf else None
        record["floor_s"] = floor
        record["floor_ratio"] = record["pairs"] * record["full_pair_s"] / floor if floor else None


def _setting(rows: list[Record]) -> str:
    """What holds for all tables of a phantom."""
    sessions = [SESSIONS[c.split("-")[1]] for c in _cases(rows) if "-" in c]
    timed = [r for r in rows if r["full_pair_s"]]
    text = [f"Cells: {' / '.join(sessions)}." if len(sessions) > 1 else ""]
    if timed:
        pair = f"{1000 * timed[0]['full_pair_s']:.1f} ms"
        text.append(f"{timed[0]['threads']} threads; a planned transform pair of the full grid takes {pair}.")
    if rows[0]["case"].startswith("dev"):
        text.append("Tissue's truth is not known: no error of maps and fields.")
    return " ".join(t for t in text if t)


def _cases(rows: list[Record]) -> list[str]:
    return sorted({r["case"] for r in rows})


def _tables(rows: list[Record], peers: dict[str, Any]) -> list[str]:
    """Return the tables of one family: with pictures of its own, own mask, core and cost apart; one for all else."""
    if rows[0]["family"] not in MAPPED:
        return [table(rows, peers, _own(rows) + _cost(rows))]
    core = [f"{c}_core" for c in COLUMNS if any(r["scores"].get(f"{c}_core") is not None for r in rows)]
    found = ["In the method's own mask:", table(rows, peers, _own(rows))]
    found += ["In the core, the same for all:", table(rows, peers, core)] if core else []
    return [*found, "Cost:", table(rows, peers, _cost(rows))]


def _own(rows: list[Record]) -> list[str]:
    return [c for c in COLUMNS if any(r["scores"].get(c) is not None for r in rows)]


def _cost(rows: list[Record]) -> list[str]:
    timed = ["seconds", "pairs"] if any(r["pairs"] for r in rows) else []
    floor = ["transforms"] if any(r["transform_pairs"] for r in rows) else []
    floor += ["floor_ratio"] if any(r["floor_ratio"] for r in rows) else []
    return [*timed, *floor, "volumes", "peak_rss_mib", *(["faster"] if timed else [])]


COSTS = {
    "seconds": ("s", 2), "pairs": ("pairs", 0), "transforms": ("transforms", 0), "floor_ratio": ("x floor", 2),
    "volumes": ("volumes", 1), "peak_rss_mib": ("RSS MiB", 0), "faster": ("faster", 1),
}  # fmt: skip


def table(rows: list[Record], peers: dict[str, Any], columns: list[str]) -> str:
    """Return a Markdown table of one family, a row a method, the peers' rows under it."""
    known = peers.get(rows[0]["family"], {})
    head = [COSTS[c][0] if c in COSTS else COLUMNS[c.removesuffix("_core")][0] for c in columns]
    lines = ["| " + " | ".join(["method", *head]) + " |", "|---" * (len(head) + 1) + "|"]
    by_method: dict[str, list[Record]] = {}
    for row in rows:
        by_method.setdefault(row["method"], []).append(row)
    for method, found in sorted(by_method.items(), key=lambda m: float(np.mean([rank(r) for r in m[1]]))):
        found.sort(key=lambda r: r["case"])
        cells = [" / ".join(_value(r, c, known, peers) for r in found) for c in columns]
        lines.append(
            "| " + " | ".join([f"**{method}**", *(c if c.strip(" /") else "" for c in cells)]) + " |"
        )
        for peer in known.get(method, []):
            cells = [_peer_value(peer, c, peers) for c in columns]
            if any(cells):
                lines.append("| " + " | ".join([f"*{peer['name']}*", *cells]) + " |")
    return "\n".join(lines)


def _value(row: Record, column: str, known: dict[str, Any], peers: dict[str, Any]) -> str:
    if column == "faster":
        return _faster(row, known, peers)
    if column == "transforms":
        return _cell(sum(row["transform_pairs"].values()) or None, 0)
    if column in COSTS:
        return _cell(row[column], COSTS[column][1])
    return _cell(row["scores"].get(column), COLUMNS[column.removesuffix("_core")][1])


def _peer_value(peer: dict[str, Any], column: str, peers: dict[str, Any]) -> str:
    if column == "pairs":
        return _cell(peer["seconds"] / peers["pair_s"], 0)
    if column == "peak_rss_mib":
        return _cell(peer.get("rss_mib"), 0)
    digits = COSTS[column][1] if column in COSTS else COLUMNS[column.removesuffix("_core")][1]
    return _cell(peer.get(column), digits)


def rank(row: Record) -> float:
    """Return what methods are sorted by: the first error that a record has."""
    scores = row["scores"]
    for name in RANKED:
        if scores.get(name) is not None:
            return float(scores[name])
    return 0.0


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{0 if abs(value) >= 100 else digits}f}"


def _faster(row: Record, known: dict[str, Any], peers: dict[str, Any]) -> str:
    """How many times fewer pairs than the fastest peer, for as many echoes."""
    pairs = [
        p["seconds"] / peers["pair_s"] * row["echoes"] / p.get("echoes", row["echoes"])
        for p in known.get(row["method"], [])
    ]
    return f"{min(pairs) / row['pairs']:.1f} x" if pairs and row["pairs"] else ""
