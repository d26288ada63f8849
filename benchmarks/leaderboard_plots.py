"""Plots of the leaderboard: error against time, error of the map against that of lesions, lesions by session, maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]
PICTURED = ("L", "S", "head-3T", "dev-3T")
"""Cases whose maps are shown."""
GREY_PPM = {"dipole_inversion": 0.15, "background_removal": 0.06}
"""White on maps of the bench phantoms; the heads' tissue differs by less."""
BESIDE = [(6, 4), (6, -11), (-6, 4), (-6, -11), (6, 13), (6, -20), (-6, 13), (-6, -20), (6, 22), (-6, 22)]
"""Where a label may stand beside its point, in points; the first place that is free is taken."""


def pictures(rows: list[Record], peers: dict[str, Any], results: Path, folder: Path, group: str) -> list[str]:
    """Draw what one family's rows on one phantom allow; return the files' names."""
    import matplotlib

    matplotlib.use("Agg")
    family = rows[0]["family"]
    stem = f"{group}-{family}"
    out = []
    timed = [r for r in rows if r["pairs"]]
    if timed:
        out.append(_error_by_time(timed, peers, folder / f"{stem}.png"))
    elif rows[0]["scores"].get("nrmse") is not None:
        out.append(_error_by_error(rows, folder / f"{stem}.png"))
    else:
        out.append(_moments_by_session(rows, folder / f"{stem}.png"))
    for case in sorted({r["case"] for r in rows} & set(PICTURED)):
        path = folder / f"{stem}-maps.png"
        if _montage([r for r in rows if r["case"] == case], results, path) or path.exists():
            out.append(path)
    return [path.name for path in out]


def _by_method(rows: list[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for row in sorted(rows, key=lambda r: (r["method"], r["case"])):
        found.setdefault(row["method"], []).append(row)
    return found


def _error_by_time(rows: list[Record], peers: dict[str, Any], path: Path) -> Path:
    """Ours filled, the peers' open; background removal by its error in the core, where masks do not matter."""
    import matplotlib.pyplot as plt

    score = "nrmse_core" if rows[0]["family"] == "background_removal" else "nrmse"
    figure, axes = plt.subplots(figsize=(8, 5), dpi=90)
    known = peers.get(rows[0]["family"], {})
    labels = []
    for number, (method, found) in enumerate(_by_method(rows).items()):
        colour, marker = f"C{number % 10}", "osD^v"[number // 10]
        x, y = found[0]["pairs"], found[0]["scores"][score]
        axes.plot(x, y, marker, color=colour, ms=7)
        labels.append((x, y, method, colour))
        for peer in known.get(method, []):
            if score in peer:
                there = peer["seconds"] / peers["pair_s"], peer[score]
                axes.plot(*there, marker, color=colour, ms=6, mfc="none")
                axes.plot([x, there[0]], [y, there[1]], color=colour, lw=0.5, alpha=0.5)
    where = " in the core" if score.endswith("core") else ""
    axes.set(xlabel="time, transform pairs of the full grid", ylabel=f"NRMSE{where}, %")
    peered = " (open: other implementations of the method)" if known else ""
    axes.set_title(f"Error against time{peered}", fontsize=9)
    return _finish(figure, axes, labels, path)


def _error_by_error(rows: list[Record], path: Path) -> Path:
    """Means over the sessions that have a score: the map against the lesions."""
    import matplotlib.pyplot as plt

    prefix = "tkd_" if rows[0]["family"] == "background_removal" else ""
    figure, axes = plt.subplots(figsize=(8, 5), dpi=90)
    labels = []
    for number, (method, found) in enumerate(_by_method(rows).items()):
        colour, marker = f"C{number % 10}", "osD^v"[number // 10]
        x = _mean(found, f"{prefix}moment_error_core")
        y = _mean(found, "nrmse_core")
        axes.plot(x, y, marker, color=colour, ms=7)
        labels.append((x, y, method, colour))
    by = " by TKD" if prefix else ""
    axes.set(xlabel=f"median error of the lesions' moments{by}, %", ylabel="NRMSE in the core, %")
    axes.set_title("The map against the lesions, mean of the sessions", fontsize=9)
    return _finish(figure, axes, labels, path)


def _mean(rows: list[Record], score: str) -> float:
    known = [r["scores"][score] for r in rows if r["scores"].get(score) is not None]
    return float(np.mean(known)) if known else float("nan")


def _finish(figure: Any, axes: Any, labels: list[tuple[float, float, str, str]], path: Path) -> Path:
    """Logarithmic axes with plain numbers, and each label where none stands yet."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        # Over many decades the numbers between would run into each other.
        axis.set_minor_formatter("{x:g}" if high / low < 500 else NullFormatter())
    axes.margins(0.08)
    axes.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.canvas.draw()
    taken = [axes.transData.transform((x, y)) for x, y, _, _ in labels]
    boxes = [(px - 5, py - 5, px + 5, py + 5) for px, py in taken]
    for (x, y, text, colour), own in zip(labels, list(boxes), strict=True):
        for dx, dy in BESIDE:
            note = axes.annotate(
                text, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=8, color=colour,
                ha="left" if dx > 0 else "right",
            )  # fmt: skip
            frame = note.get_window_extent()
            box = (frame.x0, frame.y0, frame.x1, frame.y1)
            if not any(_overlap(box, other) for other in boxes if other is not own):
                break
            note.remove()
        else:
            axes.annotate(text, (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8, color=colour)
        boxes.append(box)
    figure.savefig(path)
    plt.close(figure)
    return path


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _moments_by_session(rows: list[Record], path: Path) -> Path:
    """Recovered over true moment: a row a method, its median and quartile range by session."""
    import matplotlib.pyplot as plt

    score = "tkd_moment" if rows[0]["family"] == "background_removal" else "moment"
    methods = _by_method(rows)
    order: Callable[[str], float] = lambda m: _mean(methods[m], f"{score}_error")  # noqa: E731
    names = sorted(methods, key=order, reverse=True)
    cases = sorted({r["case"] for r in rows})
    figure, axes = plt.subplots(figsize=(8, 1 + 0.28 * len(names)), dpi=90)
    for number, case in enumerate(cases):
        for y, name in enumerate(names):
            for row in methods[name]:
                if row["case"] == case and row["scores"].get(score) is not None:
                    x, spread = row["scores"][score], row["scores"][f"{score}_spread"]
                    place = y + 0.16 * ((len(cases) - 1) / 2 - number)
                    axes.plot([x - spread / 2, x + spread / 2], [place] * 2, color=f"C{number}", lw=1)
                    axes.plot(x, place, "o", color=f"C{number}", ms=4)
        axes.plot([], [], "o", color=f"C{number}", ms=4, label=case.split("-")[1].replace("15T", "1.5T"))
    axes.axvline(1, color="k", lw=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    by = " by TKD" if score.startswith("tkd") else ""
    axes.set(xlabel=f"recovered / true moment{by}: median, line: interquartile range", xlim=(0, 2))
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    return path


def _montage(rows: list[Record], results: Path, path: Path) -> bool:
    """Draw one plane of each result on one grey scale; not where the plane of one is not at hand."""
    import matplotlib.pyplot as plt
    from leaderboard_page import rank

    files = [results / r["case"] / f"{r['family']}-{r['method']}.npy" for r in sorted(rows, key=rank)]
    if not all(f.exists() for f in files):
        return False
    planes = {f.stem.split("-")[1]: np.load(f).astype(np.float32) for f in files}
    box = _shown(list(planes.values()))
    across = min(6, len(planes))
    down = -(-len(planes) // across)
    shape = next(iter(planes.values()))[box].shape
    height = 1.6 * shape[1] / shape[0] + 0.3
    figure, grid = plt.subplots(
        down, across, figsize=(1.6 * across, height * down + 0.2), dpi=90, squeeze=False
    )
    limit = GREY_PPM[rows[0]["family"]] * (1.0 if rows[0]["case"] in ("L", "S") else 0.6)
    for axes in grid.ravel():
        axes.axis("off")
    for axes, (method, plane) in zip(grid.ravel(), planes.items(), strict=False):
        axes.imshow(
            plane[box].T, cmap="gray", vmin=-limit, vmax=limit, origin="lower", interpolation="nearest"
        )
        axes.set_title(method, fontsize=8)
    figure.suptitle(
        f"black -{limit:g} ppm, white +{limit:g} ppm; best first", fontsize=7, y=0.005, va="bottom"
    )
    figure.tight_layout(pad=0.4, rect=(0, 0.03, 1, 1))
    figure.savefig(path)
    plt.close(figure)
    return True


def _shown(planes: list[Any]) -> tuple[slice, slice]:
    """Where any plane has anything, with a small margin."""
    filled = np.any([p != 0 for p in planes], axis=0)
    edges = []
    for axis in (0, 1):
        where = np.flatnonzero(filled.any(axis=1 - axis))
        edges.append(slice(max(0, where[0] - 3), where[-1] + 4) if len(where) else slice(None))
    return edges[0], edges[1]
