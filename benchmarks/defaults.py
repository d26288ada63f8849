"""Pairs of background removal and inversion on dev heads, head and bench phantoms: the table behind the defaults.

    python benchmarks/defaults.py [--background vsharp pdf ...] [--inversion tv medi ...] [--case S dev-3T ...]

Each pair starts from the total field of the default field mapping (the bench phantom: from its noisy total field). Map
against truth where that is known; lesions by the sum over the map, raw and divided by what the same pair makes of
the true lesions' own field. Results are kept in WORK/defaults.json, a pair that is there is not run again; the table is
printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from leaderboard_cases import Case, MissingError, prepare
from leaderboard_scores import LEAST_PPM_MM3


def main() -> None:
    """Run the pairs that are missing and print the table."""
    from qsmcmb.background_removal import METHODS as BACKGROUND
    from qsmcmb.dipole_inversion import METHODS as INVERSION

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--background", nargs="+", default=list(BACKGROUND))
    parser.add_argument("--inversion", nargs="+", default=list(INVERSION))
    parser.add_argument("--case", nargs="+", default=["S", "head", "dev"], help="beginnings of cases' names")
    parser.add_argument("--work", type=Path, default=Path("benchmark-data") / "leaderboard")
    options = parser.parse_args()
    kept = options.work / "defaults.json"
    rows: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    for case in _cases(options.case, options.work):
        pair = Pair(case)
        for background in options.background:
            for inversion in options.inversion:
                key = f"{case.folder.name} {background} {inversion}"
                if key not in rows:
                    rows[key] = pair.scores(background, inversion)
                    kept.write_text(json.dumps(rows, indent=1))
                    print(key, rows[key], flush=True)
    print(table(rows))


def _cases(names: list[str], work: Path) -> list[Case]:
    found = []
    for phantom in dict.fromkeys(n.split("-")[0] for n in names):
        try:
            cases = prepare(phantom, work)
        except MissingError as error:
            print(f"skipped: {error}")
            continue
        found += [c for c in cases if any(c.folder.name.startswith(n) for n in names)]
    return found


class Pair:
    """Background removal and inversion of one case."""

    def __init__(self, case: Case) -> None:
        self.case, self.grid, self.mask = case, case.grid, case["mask"]
        self._local: dict[str, Any] = {}
        self._given = {
            "magnitude": case["magnitude"], "field_sd_ppm": case["sd_ppm"], "te_s": case.te_s, "b0_tesla": case.b0_tesla
        }  # fmt: skip

    def scores(self, background: str, inversion: str) -> dict[str, Any]:
        """Return the map's and the lesions' errors, and the seconds of both stages."""
        from qsmcmb.validation.scores import nrmse

        start = time.perf_counter()
        chi, mask = self._map(self.case["total_ppm"], background, inversion)
        seconds = time.perf_counter() - start
        response, _ = self._map(self._lesion_field(), background, inversion)
        raw, held = self._moments(chi, mask), self._moments(response, mask)
        record = {"seconds": seconds, **_errors("raw", raw), **_errors("corrected", raw / held)}
        if "chi_ppm" in self.case:
            truth = self.case["chi_ppm"]
            record |= {"nrmse": nrmse(chi, truth, mask), "nrmse_brain": nrmse(chi, truth, self.mask)}
        return {k: round(float(v), 4) for k, v in record.items()}

    def _map(self, total_ppm: Any, background: str, inversion: str) -> tuple[Any, Any]:
        from qsmcmb.background_removal.head import remove_background
        from qsmcmb.dipole_inversion.head import invert, starting_point

        mask = self.mask
        field = total_ppm
        if starting_point(inversion) == "local field":
            local = remove_background(
                total_ppm, mask, self.grid, method=background, field_sd_hz=self._given["field_sd_ppm"]
            )
            field, mask = local.local_field_hz, local.mask
        elif starting_point(inversion) == "wrapped phase":
            turns = 2 * np.pi * 42.577478518 * self.case.b0_tesla * np.array(self.case.te_s)
            field = np.angle(np.exp(1j * turns[:, None, None, None] * total_ppm)).astype(np.float32)
        # The lesions' own field is inverted as the scan's is: with the weights that the whole field asks for.
        whole = (
            self._local.setdefault(background, field) if starting_point(inversion) == "local field" else None
        )
        return invert(field, mask, self.grid, method=inversion, weights_field_ppm=whole, **self._given), mask

    def _points(self) -> Any:
        """Lesions: position (mm) and total susceptibility."""
        if "points" in self.case:
            return self.case["points"]
        labels, chi = self.case["lesions"], self.case["chi_ppm"]
        found = []
        for number in range(1, labels.max() + 1):
            where, weight = np.argwhere(labels == number), chi[labels == number]
            centre = self.grid.to_world((where * weight[:, None]).sum(axis=0) / weight.sum())
            found.append([*centre, weight.sum() * self.grid.voxel_volume_mm3])
        return np.array(found)

    def _moments(self, chi: Any, mask: Any) -> Any:
        """Sum over true total susceptibility of the lesions that count."""
        from qsmcmb.validation.lesion_scores import point_moments

        points = self._points()
        points = points[np.abs(points[:, 3]) >= LEAST_PPM_MM3]
        return point_moments(chi, mask, self.grid, points[:, :3]) / points[:, 3]

    def _lesion_field(self) -> Any:
        """Field of the lesions alone, ppm, as balls that the grid can hold."""
        from qsmcmb.phantoms.lesions import Ball, ball_field

        radius = max(0.62 * self.grid.voxel_volume_mm3 ** (1 / 3), 1.0)
        axes = [np.arange(n) * v for n, v in zip(self.grid.shape, self.grid.voxel_size_mm, strict=True)]
        xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
        field = np.zeros(self.grid.shape)
        for *place, total in self._points():
            centre = self.grid.to_voxel(np.array(place)) * self.grid.voxel_size_mm
            ball = Ball((0.0, 0.0, 0.0), radius, total / (4 / 3 * np.pi * radius**3))
            field += ball_field(xyz - centre.reshape(3, 1, 1, 1), ball, np.array(self.grid.b0_dir))
        return np.where(self.mask, field, 0).astype(np.float32)


def _errors(name: str, ratios: Any) -> dict[str, Any]:
    return {
        name: np.nanmedian(ratios), f"{name}_error": 100 * np.nanmedian(np.abs(ratios - 1)),
        f"{name}_p75_error": 100 * np.nanpercentile(np.abs(ratios - 1), 75), "lesions": np.isfinite(ratios).sum(),
    }  # fmt: skip


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as Markdown, pairs in order of the corrected sums' median error over all cases."""
    pairs: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for key, row in rows.items():
        case, background, inversion = key.split()
        pairs.setdefault((background, inversion), {})[case] = row
    cases = sorted({c for found in pairs.values() for c in found})
    head = ["background", "inversion", *(f"{c}: raw, corrected" for c in cases)]
    head += [f"{c}: NRMSE %" for c in cases if c == "S" or c.startswith("head")]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (background, inversion), found in sorted(pairs.items(), key=lambda p: _rank(p[1])):
        cells = [background, inversion]
        for case in cases:
            row = found.get(case)
            cells.append(f"{row['raw']:.2f}, {row['corrected_error']:.0f} %" if row else "")
        for case in cases:
            if case == "S" or case.startswith("head"):
                cells.append(f"{found[case]['nrmse_brain']:.1f}" if case in found else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rank(found: dict[str, dict[str, Any]]) -> float:
    return float(np.mean([row["corrected_error"] + row["raw_error"] for row in found.values()]))


if __name__ == "__main__":
    main()
