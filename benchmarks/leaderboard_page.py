"""Tables and plots of the leaderboard, from the records of all runs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]

TITLES = {
    "masking": "Masking", "unwrapping": "Unwrapping", "field_mapping": "Field mapping",
    "background_removal": "Background removal", "dipole_inversion": "Inversion", "relaxometry": "R2*",
}  # fmt: skip
# Score -> (heading, decimals); a column appears where a record has it.
COLUMNS = {
    "dice": ("Dice %", 1), "brain_kept": ("brain kept %", 1), "lesions_kept": ("lesions kept %", 0),
    "wrong_wraps": ("wrong wraps %", 4), "wrong_wraps_worst": ("worst echo %", 4), "off_in_time": ("off in time %", 4),
    "nrmse": ("NRMSE %", 1), "nrmse_core": ("in the core %", 1), "nrmse_brain": ("whole brain %", 1),
    "nrmse_detrended": ("detrended %", 1), "hfen": ("HFEN %", 1), "xsim": ("XSIM", 3), "regions": ("nuclei %", 1),
    "moment": ("moment", 3), "moment_spread": ("its spread", 3), "moment_error": ("moment error %", 1),
    "streaks": ("streaks %", 2), "kept": ("mask kept %", 1), "tkd_moment": ("moment by TKD", 3),
    "tkd_moment_error": ("its error %", 1), "rms_error_ppb": ("rms error ppb", 2),
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
- **Scores** are in the method's own mask, in the core (the brain without its outer 6 voxels, the same for all) and,
  for background removal, in the whole brain with 0 where the method gives nothing: erosion wins nothing. Moment:
  recovered over true total susceptibility of the lesions, their median; spread: its interquartile range. Streaks:
  SD of the error in a shell around lesions over their contrast. Nuclei: rms error of regions' means. Definitions:
  `qsmcmb/validation/scores.py`.
- **Speed.** Seconds of a call whose loops are compiled and whose transforms are planned, the fastest of some; *pairs*:
  each call's time in forward and inverse transforms of the full grid made just before and after it, the median of
  the calls, which compares machines; *floor*, in pairs too: the transforms that the method makes on its own grids, as
  fast as any run has met them, and the bytes that its loops must move over the bandwidth of a copy. Between two
  transforms each array that loops touch counts once, read or written; of the arrays of the mask's box counts the
  share that the mask fills; what NumPy moves does not count. *Volumes*: memory beyond the input, in float32 volumes
  of the working grid.
- **Peers** are other open implementations of the same method on the same phantom, as measured on another machine:
  compare pairs. *Faster*: than the fastest peer, in pairs; of unwrapping, in pairs an echo.
"""


def write_pages(results: Path, docs: Path, *, note: str = "") -> None:
    """Write leaderboard.md, its plots and results.json under `docs`."""
    records = [json.loads(p.read_text()) for p in sorted(results.glob("*/*.json"))]
    if not records:
        print("no results: no pages")
        return
    add_costs(records)
    peers = tomllib.loads(Path(__file__).with_name("peers.toml").read_text())
    folder = docs / "leaderboard"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(records, indent=1) + "\n")
    parts = [ABOUT, *([note + "\n"] if note else [])]
    for case in sorted({r["case"] for r in records}, key=_order):
        chosen = [r for r in records if r["case"] == case]
        parts.append(f"## {_sentence(chosen[0]['label'])}\n\n{_machine(chosen)}\n")
        for family, title in TITLES.items():
            rows = [r for r in chosen if r["family"] == family]
            if rows:
                parts.append(f"### {title}\n\n{table(rows, peers.get(case, {}))}\n")
                parts += _pictures(rows, peers.get(case, {}), results / case, folder)
    (docs / "leaderboard.md").write_text("\n".join(parts))


def add_costs(records: list[Record]) -> None:
    """Add to each record its time in pairs and over its floor.

    The floor is that of the fastest transforms that any run has met; a method's time in pairs, of pairs made beside its
    calls, so that a machine with other things to do slows both.
    """
    pair_s: dict[str, float] = {}
    for record in records:
        for shape, seconds in record["pair_s"].items():
            pair_s[shape] = min(seconds, pair_s.get(shape, seconds))
    bytes_per_s = max(r["bytes_per_s"] for r in records)
    for record in records:
        record["full_pair_s"] = pair_s[record["grid"]]
        record["pairs"] = record["call_pairs"] or record["seconds"] / record["full_pair_s"]
        pairs = sum(number * pair_s[shape] for shape, number in record["transform_pairs"].items())
        floor = pairs + record["moved_bytes"] / bytes_per_s if pairs else None
        record["floor_s"] = floor
        record["floor_ratio"] = record["pairs"] * record["full_pair_s"] / floor if floor else None


def _order(case: str) -> tuple[int, str]:
    return ("L", "S", "head", "dev").index(case.split("-")[0]), case


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _machine(rows: list[Record]) -> str:
    pair, threads = 1000 * rows[0]["full_pair_s"], rows[0]["threads"]
    return f"{threads} threads; a planned transform pair of the full grid takes {pair:.1f} ms."


def table(rows: list[Record], peers: dict[str, Any]) -> str:
    """Return the Markdown table of one family, the peers' rows under each method."""
    family = rows[0]["family"]
    known = peers.get(family, {})
    shown = [c for c in COLUMNS if any(r["scores"].get(c) is not None for r in rows)]
    has_floor = any(r["floor_ratio"] for r in rows)
    head = ["method", *(COLUMNS[c][0] for c in shown), "s", "pairs"]
    head += ["transforms", "x floor"] if has_floor else []
    head += ["volumes", "RSS MiB", "faster"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in sorted(rows, key=_rank):
        cells = [f"**{row['method']}**", *(_cell(row["scores"].get(c), COLUMNS[c][1]) for c in shown)]
        cells += [_cell(row["seconds"], 2), _cell(row["pairs"], 0)]
        if has_floor:
            cells += [_cell(sum(row["transform_pairs"].values()) or None, 0), _cell(row["floor_ratio"], 2)]
        cells += [_cell(row["volumes"], 1), _cell(row["peak_rss_mib"], 0), _faster(row, known, peers)]
        lines.append("| " + " | ".join(cells) + " |")
        for peer in known.get(row["method"], []):
            cells = [f"*{peer['name']}*", *(_cell(peer.get(c), COLUMNS[c][1]) for c in shown)]
            cells += [_cell(peer["seconds"], 2), _cell(peer["seconds"] / peers["pair_s"], 0)]
            cells += ["", ""] if has_floor else []
            cells += ["", _cell(peer.get("rss_mib"), 0), ""]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rank(row: Record) -> float:
    scores = row["scores"]
    for name in ("nrmse_core", "nrmse", "wrong_wraps", "moment_error", "tkd_moment_error", "off_in_time"):
        if scores.get(name) is not None:
            return float(scores[name])
    return 0.0


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _faster(row: Record, known: dict[str, Any], peers: dict[str, Any]) -> str:
    """How many times fewer pairs than the fastest peer, for as many echoes."""
    pairs = [
        p["seconds"] / peers["pair_s"] * row["echoes"] / p.get("echoes", row["echoes"])
        for p in known.get(row["method"], [])
    ]
    return f"{min(pairs) / row['pairs']:.1f} x" if pairs else ""


def _pictures(rows: list[Record], peers: dict[str, Any], results: Path, folder: Path) -> list[str]:
    family, case = rows[0]["family"], rows[0]["case"]
    if family not in ("background_removal", "dipole_inversion"):
        return []
    import matplotlib

    matplotlib.use("Agg")
    out = []
    if rows[0]["scores"].get("nrmse") is not None:
        out.append(_scatter(rows, peers, folder / f"{case}-{family}.png"))
    out.append(_montage(rows, results, folder / f"{case}-{family}-maps.png"))
    return [f"![{TITLES[family]}, {case}](leaderboard/{p.name})\n" for p in out if p]


def _scatter(rows: list[Record], peers: dict[str, Any], path: Path) -> Path:
    """Accuracy against speed, ours filled, the peers' open."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, axes = plt.subplots(figsize=(7, 4.2), dpi=90)
    known = peers.get(rows[0]["family"], {})
    for number, row in enumerate(sorted(rows, key=lambda r: r["method"])):
        colour, marker = f"C{number % 10}", "osD^v"[number // 10]
        x, y = row["pairs"], row["scores"]["nrmse"]
        axes.plot(x, y, marker, color=colour, ms=7)
        axes.annotate(row["method"], (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
        for peer in known.get(row["method"], []):
            if "nrmse" in peer:
                there = peer["seconds"] / peers["pair_s"], peer["nrmse"]
                axes.plot(*there, marker, color=colour, ms=6, mfc="none")
                axes.plot([x, there[0]], [y, there[1]], color=colour, lw=0.5, alpha=0.5)
    axes.set(xscale="log", yscale="log", xlabel="time, transform pairs of the full grid", ylabel="NRMSE, %")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.set_title("filled: qsmcmb; open: other implementations", fontsize=9)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    return path


def _montage(rows: list[Record], results: Path, path: Path) -> Path | None:
    """One plane of each result on one grey scale."""
    import matplotlib.pyplot as plt

    planes = {}
    for row in sorted(rows, key=_rank):
        file = results / f"{row['family']}-{row['method']}.npy"
        if file.exists():
            planes[row["method"]] = np.load(file).astype(np.float32)
    if not planes:
        return None
    across = min(6, len(planes))
    down = -(-len(planes) // across)
    figure, grid = plt.subplots(down, across, figsize=(1.6 * across, 1.9 * down), dpi=80, squeeze=False)
    limit = 0.15 if rows[0]["family"] == "dipole_inversion" else 0.06
    for axes in grid.ravel():
        axes.axis("off")
    for axes, (method, plane) in zip(grid.ravel(), planes.items(), strict=False):
        axes.imshow(plane.T, cmap="gray", vmin=-limit, vmax=limit, origin="lower", interpolation="nearest")
        axes.set_title(method, fontsize=8)
    figure.tight_layout(pad=0.4)
    figure.savefig(path)
    plt.close(figure)
    return path
