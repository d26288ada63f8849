"""Phantoms that the leaderboard runs on, brought into one form: arrays as .npy and a case.json in a folder."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
GYROMAGNETIC_MHZ_PER_T = 42.577478518
NAMES = ("S", "L", "head", "dev")
MIN_REGION_VOXELS = 50
MIN_NUCLEUS_PPM = 0.03
DEEP = 2


class MissingError(Exception):
    """A phantom's source is not at hand; the message says where it was looked for."""


class Case:
    """One scan with what is known of its truth: `case["chi_ppm"]`, `case.grid`, `"chi_ppm" in case`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = json.loads((folder / "case.json").read_text())
        self.te_s = tuple(self.about["te_s"])
        self.b0_tesla = float(self.about["b0_tesla"])

    def __contains__(self, name: str) -> bool:
        return (self.folder / f"{name}.npy").exists()

    def __getitem__(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npy")

    @property
    def grid(self) -> Any:
        """Geometry of the arrays."""
        from qsmcmb.model import Grid

        return Grid(
            tuple(self.about["shape"]), tuple(self.about["voxel_size_mm"]), tuple(self.about["b0_dir"]),
            np.array(self.about["affine"]),
        )  # fmt: skip


def methods_of(family: str) -> dict[str, str]:
    """Return the METHODS of a family's package."""
    methods: dict[str, str] = importlib.import_module(f"qsmcmb.{family}").METHODS
    return methods


def prepare(name: str, work: Path) -> list[Case]:
    """Return the cases of a phantom, made where they are missing."""
    makers = {"S": _bench, "L": _bench, "head": _head, "dev": _dev}
    folders = sorted(work.glob(f"{name}*/case.json"))
    if not folders:
        makers[name](name, work)
        folders = sorted(work.glob(f"{name}*/case.json"))
    return [Case(f.parent) for f in folders]


def _save(folder: Path, grid: Any, scan: dict[str, Any], arrays: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        array = np.asarray(array)
        np.save(folder / f"{name}.npy", array if array.dtype.kind in "bi" else array.astype(np.float32))
    about = {
        "shape": grid.shape, "voxel_size_mm": grid.voxel_size_mm, "b0_dir": grid.b0_dir,
        "affine": grid.affine.tolist(), **scan,
    }  # fmt: skip
    # Last, so that a folder with it is whole.
    (folder / "case.json").write_text(json.dumps(about, indent=1))


def _bench(name: str, work: Path) -> None:
    from qsmcmb.model import Grid

    script = SHARED / "bench" / "make_phantom.py"
    source = work / "bench" / name
    if not (source / "info.json").exists():
        if not script.is_file():
            raise MissingError(f"bench phantom {name}: {script} not found")
        (work / "bench").mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(script), name, str(work / "bench")], check=True)
    info = json.loads((source / "info.json").read_text())

    def load(part: str) -> Any:
        return np.load(source / f"{part}.npy")

    mask = load("mask") > 0
    magnitude, phase = (np.ascontiguousarray(np.moveaxis(load(p), -1, 0)) for p in ("mag", "phase"))
    te = np.array(info["TE"])[:, None, None, None]
    # SD of an ideal echo combination at the phantom's noise of 0.01 a channel.
    weight = np.sqrt(((te * magnitude) ** 2).sum(axis=0))
    sd = 0.01 / (info["w_rad_per_s_per_ppm"] * np.maximum(weight, 1e-12))
    chi = load("chi")
    _save(
        work / name,
        Grid.isotropic(mask.shape, 1.0),
        {"te_s": info["TE"], "b0_tesla": info["B0"], "label": f"bench phantom {name}"},
        {
            "mask": mask, "phase": phase, "magnitude": magnitude, "total_ppm": load("ftot"), "local_ppm": load("floc"),
            "total_true_ppm": load("field_total"), "local_true_ppm": load("field_local") * mask, "chi_ppm": chi,
            "sd_ppm": np.where(mask, sd, np.inf), "lesions": load("cmb").astype(np.int32),
            "regions": _bench_regions(info, mask.shape) * (load("cmb") == 0),
            "r2star_hz": np.minimum(20 + 120 * np.abs(chi), 250),
        },
    )  # fmt: skip


def _bench_regions(info: dict[str, Any], shape: tuple[int, ...]) -> Any:
    """Inner half of each ellipsoid that no later one has painted over."""
    labels = np.zeros(shape, np.int32)
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    for number, source in enumerate((s for s in info["sources"] if s["kind"] == "ellipsoid"), start=1):
        (cx, cy, cz), (sx, sy, sz) = source["c"], source["s"]
        radius2 = ((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2 + ((z - cz) / sz) ** 2
        labels[radius2 <= 1.2] = 0
        labels[radius2 <= 0.6] = number
    return labels


def _head(_name: str, work: Path) -> None:
    from qsmcmb.phantoms.recipe import read_recipe
    from qsmcmb.pipeline.load import load_scan
    from qsmcmb.validation.phantom_dataset import truth_folder, write_phantom

    recipe = read_recipe("head")
    bids = work / "head-bids" / "bids"
    if not bids.exists():
        write_phantom(recipe, bids)
    for session in recipe.sessions:
        folder = truth_folder(bids) / f"sub-{recipe.subject}" / f"ses-{session.label}"
        scan = load_scan(bids, participant=recipe.subject, session=session.label)
        truth = _truth(folder, f"sub-{recipe.subject}_ses-{session.label}")
        _save_scan(work / f"head-{session.label}", scan, truth, f"project's head phantom, {session.label}")


def _dev(_name: str, work: Path) -> None:
    from qsmcmb.pipeline.load import load_scan

    bids = SHARED / "data" / "heads"
    if not bids.is_dir():
        raise MissingError(f"dev heads: {bids} not found")
    for subject in sorted(bids.glob("sub-*")):
        label = subject.name[4:]
        for session in sorted(subject.glob("ses-*")):
            folder = SHARED / "data" / "heads-truth" / subject.name / session.name
            scan = load_scan(bids, participant=label, session=session.name[4:])
            truth = _truth(folder, f"{subject.name}_{session.name}")
            _save_scan(work / f"dev-{session.name[4:]}", scan, truth, f"dev head {label}, {session.name}")


def _truth(folder: Path, stem: str) -> dict[str, Any]:
    from qsmcmb.io.nifti import read_volume
    from qsmcmb.io.tables import read_tsv

    def volume(ending: str) -> Any:
        path = folder / f"{stem}_{ending}.nii.gz"
        if not path.exists():
            return None
        image = read_volume(path)
        return np.asarray(image.data * image.slope + image.inter)

    rows = read_tsv(folder / f"{stem}_lesions.tsv")
    table = [[float(r[c] or 0) for c in ("x_mm", "y_mm", "z_mm", "S_ppm_mm3")] for r in rows]
    return {
        "mask": volume("desc-brain_mask") > 0, "points": np.array(table), "chi_ppm": volume("Chimap"),
        "local_true_ppm": volume("desc-local_fieldmap"), "territory": volume("desc-territory_dseg"),
    }  # fmt: skip


def _save_scan(folder: Path, scan: Any, truth: dict[str, Any], label: str) -> None:
    """Fields by the default pipeline; where the true local field is known, that with the scan's noise."""
    from qsmcmb.pipeline.config import make_config
    from qsmcmb.pipeline.inversion import local_field_of
    from qsmcmb.pipeline.subject import map_scan_field
    from qsmcmb.units import hz_to_ppm

    config = make_config()
    phase = map_scan_field(scan, config, mask=truth["mask"])
    sd = hz_to_ppm(phase.field_sd_hz, scan.b0_tesla)
    arrays = {
        "mask": phase.mask, "phase": scan.phase_rad, "magnitude": scan.magnitude, "points": truth["points"],
        "offset_rad": phase.offset_rad, "total_ppm": hz_to_ppm(phase.total_field_hz, scan.b0_tesla), "sd_ppm": sd,
    }  # fmt: skip
    if truth["chi_ppm"] is None:
        local = local_field_of(phase, scan, config)
        arrays |= {"local_ppm": hz_to_ppm(local.local_field_hz, scan.b0_tesla), "local_mask": local.mask}
    else:
        true, chi = truth["local_true_ppm"], truth["chi_ppm"]
        noise = np.random.default_rng(5).standard_normal(true.shape) * np.where(np.isfinite(sd), sd, 0)
        arrays |= {
            "local_ppm": (true + noise) * phase.mask, "local_true_ppm": true, "chi_ppm": chi,
            "lesions": _lesion_labels(scan.grid, truth["points"]),
        }  # fmt: skip
        arrays["regions"] = _nuclei(truth, arrays["lesions"])
    scan_about = {"te_s": scan.te_s, "b0_tesla": scan.b0_tesla, "label": label}
    _save(folder, scan.grid, scan_about, arrays)


def _lesion_labels(grid: Any, points: Any, radius_mm: float = 3.0) -> Any:
    labels = np.zeros(grid.shape, np.int32)
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    for number, point in enumerate(points, start=1):
        away = (voxels - grid.to_voxel(point[:3])) * grid.voxel_size_mm
        labels[(away**2).sum(axis=-1) <= radius_mm**2] = number
    return labels


def _nuclei(truth: dict[str, Any], lesions: Any) -> Any:
    """Connected deep tissue of raised susceptibility: the deep grey nuclei."""
    from scipy import ndimage

    raised = (truth["territory"] == DEEP) & (truth["chi_ppm"] > MIN_NUCLEUS_PPM)
    raised &= ~ndimage.binary_dilation(lesions > 0, iterations=2)
    labels, count = ndimage.label(ndimage.binary_opening(raised))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return np.where(sizes[labels] >= MIN_REGION_VOXELS, labels, 0)
