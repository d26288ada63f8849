"""One stage of QSM-CI, or a span of them, by qsmcmb: artifacts from /input, results to /output, fields and map in ppm.

    python stage.py dipole --set method=tv [--set NAME=VALUE ...] [--input /input] [--output /output]

Options come from --set, from /input/config.json and from QSMCI_SET_<NAME>, the last winning. In a span an option is
named after its stage: invert_method, background_max_radius_mm; where there is one stage, its name may be left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.background_removal.head import LocalField
from qsmcmb.dipole_inversion.head import starting_point
from qsmcmb.dipole_inversion.noise import noise_level
from qsmcmb.errors import ConfigError, InvalidInputError, QsmcmbError
from qsmcmb.field_mapping.field_map import noise_from_magnitude
from qsmcmb.io.masks import read_mask
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.plain import load_stack
from qsmcmb.masking.brain import mask_brain
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.config import Config, make_config, parse_set
from qsmcmb.pipeline.inversion import Inversion, PhaseToField, local_field_of
from qsmcmb.pipeline.subject import map_scan_field
from qsmcmb.units import GAMMA_MHZ_PER_T, hz_to_ppm

STAGES: dict[str, tuple[str, ...]] = {
    "brain-extraction": ("mask",),
    "field-mapping": ("unwrap", "fieldmap"),
    "bfr": ("background",),
    "dipole": ("invert",),
    "unwrap+bfr": ("unwrap", "fieldmap", "background"),
    "bfr+dipole": ("background", "invert"),
    "end-to-end": ("unwrap", "fieldmap", "background", "invert"),
}
PRODUCES = {
    "brain-extraction": "mask", "field-mapping": "totalfield", "bfr": "localfield", "unwrap+bfr": "localfield",
    "dipole": "chimap", "bfr+dipole": "chimap", "end-to-end": "chimap",
}  # fmt: skip
# What each stage that ends in a map can give to its inversion.
STARTS = {
    "dipole": ("local field",),
    "bfr+dipole": ("local field", "total field"),
    "end-to-end": ("local field", "total field", "wrapped phase"),
}


def main(arguments: list[str] | None = None) -> None:
    """Run the stage that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--input", type=Path, default=Path("/input"))
    parser.add_argument("--output", type=Path, default=Path("/output"))
    options = parser.parse_args(arguments)
    config = make_config(tables_of(options.stage, settings_of(options.settings, options.input)))
    job = Job(options.stage, options.input, config)
    produced = PRODUCES[options.stage]
    options.output.mkdir(parents=True, exist_ok=True)
    save_volume(options.output / f"{produced}.nii.gz", job.run(), job.grid.affine)


def settings_of(given: list[str], folder: Path) -> dict[str, Any]:
    """Return options by name from the command line, config.json and the environment."""
    settings = parse_set(given)
    file = folder / "config.json"
    if file.exists():
        settings |= json.loads(file.read_text())
    prefix = "QSMCI_SET_"
    found = [f"{k[len(prefix) :].lower()}={v}" for k, v in sorted(os.environ.items()) if k.startswith(prefix)]
    return settings | parse_set(found)


def tables_of(stage: str, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the configuration's tables; a name without its stage's belongs to the last stage."""
    tables: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        part, _, rest = name.partition("_")
        known = part in STAGES[stage] and rest
        table, option = (part, rest) if known else (STAGES[stage][-1], name)
        tables.setdefault(table, {})[option] = value
    return tables


class Params(NamedTuple):
    """Scan as params.json states it: echo times (s), field strength (T), direction of B0, voxel size (mm)."""

    te_s: tuple[float, ...]
    b0_tesla: float
    b0_dir: tuple[float, float, float]
    voxel_size_mm: tuple[float, ...] | None


def read_params(path: Path) -> Params:
    """Return what params.json states; a B0_dir of another length than 1 is scaled, which is said."""
    about = read_sidecar(path) if path.is_file() else {}
    te_s, (b0,) = _numbers(about, "TE", path), _numbers(about, "B0", path, 1)
    direction = np.array(_numbers(about, "B0_dir", path, 3))
    norm = float(np.linalg.norm(direction))
    if not norm > 0:
        raise _wrong(path, "B0_dir", about["B0_dir"], "a direction in voxel axes, such as [0, 0, 1]")
    if abs(norm - 1) > 1e-3:
        say(f"B0_dir {about['B0_dir']} has the length {norm:.4g}; its direction is used")
    bx, by, bz = (float(b) for b in direction / norm)
    size = _numbers(about, "voxel_size", path, 3) if "voxel_size" in about else None
    if not min((*te_s, b0, *(size or ()))) > 0:
        raise _wrong(path, "TE, B0, voxel_size", [te_s, b0, size], "numbers above 0")
    return Params(te_s, b0, (bx, by, bz), size)


def _numbers(about: dict[str, Any], key: str, path: Path, count: int | None = None) -> tuple[float, ...]:
    """Return the finite numbers of a key."""
    try:
        values = tuple(float(v) for v in np.atleast_1d(np.asarray(about[key], float)))
    except (KeyError, TypeError, ValueError):
        values = ()
    if not values or not np.all(np.isfinite(values)) or (count is not None and len(values) != count):
        raise _wrong(path, key, about.get(key, "nothing"), f"{count or 'one or more'} finite numbers")
    return values


def _wrong(path: Path, key: str, found: object, expected: str) -> InvalidInputError:
    """Return the error of a key of params.json."""
    return InvalidInputError(
        "PARAMS", path, field=key, found=found, expected=expected, fix="correct params.json"
    )


def with_voxel_size(grid: Grid, size_mm: tuple[float, ...] | None, name: str) -> Grid:
    """Return the grid with the voxel size of params.json, which wins over a header that states another.

    The affine stays: results lie on their inputs.
    """
    if size_mm is None or np.allclose(size_mm, grid.voxel_size_mm, rtol=1e-3):
        return grid
    header = ", ".join(f"{v:.4g}" for v in grid.voxel_size_mm)
    say(f"voxel_size {list(size_mm)} mm is used; the header of {name}.nii.gz states {header} mm")
    x, y, z = size_mm
    return replace(grid, voxel_size_mm=(x, y, z))


def say(message: str) -> None:
    """Print a message beside the results."""
    print(f"WARNING {message}", file=sys.stderr)


class Job:
    """Artifacts of a folder, and the stages on them."""

    def __init__(self, stage: str, folder: Path, config: Config) -> None:
        self.stage, self.folder, self.config = stage, folder, config
        about = read_params(folder / "params.json")
        self.te_s, self.b0_tesla, self.b0_dir = about.te_s, about.b0_tesla, about.b0_dir
        first = next((n for n in ("totalfield", "localfield", "magnitude") if self._has(n)), None)
        if first is None:
            raise ConfigError(f"{folder} holds no totalfield, localfield or magnitude; {stage} needs one")
        _, grid = load_stack([self._path(first)], b0_dir=self.b0_dir)
        self.grid = with_voxel_size(grid, about.voxel_size_mm, first)

    def run(self) -> Any:
        """Return what the stage produces."""
        run = {
            "brain-extraction": self.brain, "field-mapping": self.total_field, "bfr": self.local_field,
            "unwrap+bfr": self.local_field, "dipole": self.chi, "bfr+dipole": self.chi, "end-to-end": self.chi,
        }[self.stage]  # fmt: skip
        return run()

    def brain(self) -> Any:
        """Return the mask of the brain."""
        magnitude = self._signal("magnitude")
        phase = self._signal("phase") if self._has("phase") else np.zeros_like(magnitude)
        chosen = self.config["mask"]
        method = "magnitude" if not self._has("phase") and chosen.method == "combined" else chosen.method
        return mask_brain(magnitude, phase, self.grid, method=method, options=chosen.options)

    def total_field(self) -> Any:
        """Return the total field, ppm."""
        return hz_to_ppm(self._phase_to_field().total_field_hz, self.b0_tesla)

    def local_field(self) -> Any:
        """Return the local field, ppm; 0 where the method has none."""
        phase = self._phase_to_field()
        return hz_to_ppm(local_field_of(phase, self._scan(), self.config).local_field_hz, self.b0_tesla)

    def chi(self) -> Any:
        """Return the susceptibility, ppm."""
        start = starting_point(self.config["invert"].method)
        if start not in STARTS[self.stage]:
            raise ConfigError(
                f"{self.config['invert'].method} starts from the {start}; {self.stage} has the {STARTS[self.stage][-1]}"
            )
        phase, scan = self._phase_to_field(), self._scan()
        local = None
        if self.stage == "dipole":
            # Where a background removal before us has left nothing, its field is 0.
            local = LocalField(phase.total_field_hz, phase.mask & (phase.total_field_hz != 0))
        elif not self.config.replaced("background"):
            local = local_field_of(phase, scan, self.config)
        return Inversion(scan, self.config, phase, local).of_scan()

    def _phase_to_field(self) -> PhaseToField:
        mask = read_mask(self._path("mask"), self.grid).inside
        if self._has("phase"):
            return map_scan_field(self._scan(), self.config, mask=mask)
        name = "localfield" if self.stage == "dipole" else "totalfield"
        field = load_stack([self._path(name)])[0][0]
        hz_per_ppm = np.float32(GAMMA_MHZ_PER_T * self.b0_tesla)
        field = np.where(mask, field, 0) * hz_per_ppm
        return PhaseToField(mask, 0 * field, field, self._sd_hz(mask, field))

    def _sd_hz(self, mask: Any, field_hz: Any) -> Any:
        """SD of the field that echoes of this magnitude give; where it is not mounted, the field's roughness."""
        magnitude = self._magnitude()
        if magnitude is None:
            return np.where(mask, np.float32(noise_level(field_hz, mask)), np.float32(np.inf))
        te = np.array(self.te_s, np.float32)[: len(magnitude), None, None, None]
        signal = np.sqrt(((te * magnitude) ** 2).sum(axis=0))
        noise = noise_from_magnitude(magnitude[0], mask) / np.float32(2 * np.pi)
        return np.divide(noise, signal, out=np.full(signal.shape, np.inf, np.float32), where=signal > 0)

    def _magnitude(self) -> Any:
        return self._signal("magnitude") if self._has("magnitude") else None

    def _signal(self, name: str, *, radians: bool = False) -> Any:
        """Magnitude or phase of the echoes, 0 where it is not finite."""
        stack, _ = load_stack([self._path(name)], radians=radians, b0_dir=self.b0_dir)
        return np.where(np.isfinite(stack), stack, np.float32(0))

    def _scan(self) -> Any:
        if self._has("phase"):
            phase = self._signal("phase", radians=True)
            return GreScan(phase, self._magnitude(), self.te_s, self.b0_tesla, self.grid)
        return _FieldScan(self)

    def _has(self, name: str) -> bool:
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.nii.gz"


class _FieldScan:
    """What an inversion asks of a scan, where fields are mounted and no phase."""

    def __init__(self, job: Job) -> None:
        self.grid, self.te_s, self.b0_tesla, self.magnitude = (
            job.grid, job.te_s, job.b0_tesla, job._magnitude()
        )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except QsmcmbError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
