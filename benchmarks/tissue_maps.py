"""Inversions of textured heads, from their local field with white noise: the table behind the default's weight.

    python benchmarks/tissue_maps.py [--seeds 71001 71002] [--noise 1 4] [--methods huber nltv tv l1] [--crop OUT]

Truth: `head_truth` of the phantoms (folded cortex, tissue with a power-law spectrum, nuclei, veins). Columns: relative
error of the map in the mask (NRMSE, %), slope of the map over the truth by voxels and by means of nuclei, and the
cross-spectrum of map and truth over the truth's power at wavelengths of 3 to 10 mm. First row: the Wiener filter that
knows the truth's radial spectrum and the field outside the mask, too. `--crop` draws before and after on the output
folder of `qsmcmb recon` of a real scan (docs/explanation/defaults.md).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

import qsmcmb as qc
from qsmcmb.core.dipole import forward_field
from qsmcmb.model import Grid
from qsmcmb.phantoms.structured_head import HeadTruth, head_truth
from qsmcmb.typing import BoolArray, FloatArray

WAVELENGTHS_MM = (3.0, 10.0)
"""Wavelengths over which the cross-spectrum is summed, mm."""
SHELLS = 60
"""Shells of k-space in which the Wiener filter knows the truth's power, a count."""
MIN_VOXELS = 30
"""Voxels of a nucleus that counts."""


class Spectra(NamedTuple):
    """Frequencies of a grid and the truth's spectrum there."""

    k_per_mm: list[FloatArray]
    radius: FloatArray
    truth: FloatArray


def spectra(chi_ppm: FloatArray, grid: Grid) -> Spectra:
    """Return the truth's half spectrum with its frequencies."""
    (nx, ny, nz), (vx, vy, vz) = grid.shape, grid.voxel_size_mm
    k = np.meshgrid(np.fft.fftfreq(nx, vx), np.fft.fftfreq(ny, vy), np.fft.rfftfreq(nz, vz), indexing="ij")
    return Spectra(k, np.sqrt(sum(a * a for a in k)), np.fft.rfftn(chi_ppm))


def wiener(field_ppm: FloatArray, noise_ppm: float, grid: Grid, known: Spectra) -> FloatArray:
    """Return the map of the linear filter that knows the power of the truth in shells, and the noise."""
    along = sum(b * k for b, k in zip(grid.b0_dir, known.k_per_mm, strict=True))
    kernel = 1 / 3 - (along / np.where(known.radius > 0, known.radius, 1)) ** 2
    kernel[0, 0, 0] = 0
    shell = np.round(known.radius / known.radius.max() * SHELLS).astype(int)
    power = np.bincount(shell.ravel(), (np.abs(known.truth) ** 2).ravel()) / np.bincount(shell.ravel())
    gain = kernel * power[shell] / (kernel**2 * power[shell] + noise_ppm**2 * field_ppm.size)
    return np.fft.irfftn(np.fft.rfftn(field_ppm) * gain, grid.shape, axes=(0, 1, 2))


def scores(found: FloatArray, head: HeadTruth, truth: FloatArray, known: Spectra) -> tuple[float, ...]:
    """Return NRMSE (%), slope over voxels, slope over nuclei, cross-spectrum."""
    centred = np.where(head.mask, found - found[head.mask].mean(), 0)
    x, t = centred[head.mask], truth[head.mask]
    nuclei = [i for i in range(1, head.nuclei.max() + 1) if (head.nuclei == i).sum() > MIN_VOXELS]
    means = [[v[head.nuclei == i].mean() for i in nuclei] for v in (truth, centred)]
    low, high = (1 / w for w in reversed(WAVELENGTHS_MM))
    band = (known.radius > low) & (known.radius < high)
    cross = (np.fft.rfftn(centred) * known.truth.conj()).real[band].sum()
    return (
        float(100 * np.linalg.norm(x - t) / np.linalg.norm(t)),
        float(x @ t / (t @ t)),
        float(np.polyfit(*means, 1)[0]),
        float(cross / (np.abs(known.truth[band]) ** 2).sum()),
    )


def centred_truth(head: HeadTruth) -> FloatArray:
    """Return the truth without its mean in the mask, 0 outside."""
    return np.where(head.mask, head.chi_ppm - head.chi_ppm[head.mask].mean(), 0).astype(np.float32)


def table(seed: int, noises_ppb: list[float], methods: list[str], size: float, voxel_mm: float) -> None:
    """Print the rows of one head."""
    head = head_truth(seed, voxel_mm=voxel_mm, size=size)
    truth = centred_truth(head)
    field, known = forward_field(truth, head.grid), spectra(truth, head.grid)
    for noise_ppb in noises_ppb:
        noise = noise_ppb * 1e-3
        rng = np.random.default_rng([seed, int(1000 * noise)])
        noisy = field + rng.normal(0, noise, field.shape).astype(np.float32)
        maps = {"Wiener filter": wiener(noisy, noise, head.grid, known)}
        field_sd = np.full(field.shape, noise, np.float32)
        for method in methods:
            maps[method] = qc.invert(
                noisy * head.mask, head.mask, head.grid, method=method, field_sd_ppm=field_sd,
                te_s=(0.02,), b0_tesla=3.0,
            )  # fmt: skip
        for name, found in maps.items():
            cells = "  ".join(f"{v:7.3f}" for v in scores(found, head, truth, known))
            print(f"{seed}  {noise_ppb:4.1f} ppb  {name:14s} {cells}", flush=True)


def draw(folder: Path, out: Path) -> None:
    """Draw local field, map of `nltv` and map of `huber` of a scan that `recon` has processed."""
    import matplotlib.pyplot as plt
    import nibabel as nib

    image = nib.load(folder / "desc-local_fieldmap.nii.gz")
    described = json.loads((folder / "Chimap.json").read_text())
    hz_per_ppm = 42.577478 * described["MagneticFieldStrength"]
    field = np.asarray(image.dataobj, np.float32) / np.float32(hz_per_ppm)
    field_sd = np.asarray(nib.load(folder / "desc-fieldsd_fieldmap.nii.gz").dataobj, np.float32) / hz_per_ppm
    mask: BoolArray = field != 0
    voxel = tuple(float(v) for v in image.header.get_zooms()[:3])
    grid = Grid(field.shape, voxel, tuple(described["B0Direction"]))
    maps = {"local field (ppb)": (field, 40)} | {
        f"{m} (ppb)": (qc.invert(field, mask, grid, method=m, field_sd_ppm=field_sd), 150)
        for m in ("nltv", "huber")
    }
    figure, axes = plt.subplots(2, 3, figsize=(9.6, 7.4), height_ratios=[24, 41])
    for column, (name, (volume, limit)) in enumerate(maps.items()):
        _, y, z = (n // 2 for n in volume.shape)
        slices = (volume[:, :, z], voxel[1] / voxel[0]), (volume[:, y], voxel[2] / voxel[0])
        for axis, (plane, aspect) in zip(axes[:, column], slices, strict=True):
            shown = axis.imshow(
                1e3 * plane.T, cmap="gray", vmin=-limit, vmax=limit, origin="lower",
                interpolation="nearest", aspect=aspect,
            )  # fmt: skip
            axis.set(xticks=[], yticks=[])
        axes[0, column].set_title(name, fontsize=11)
        figure.colorbar(
            shown, ax=axes[:, column], orientation="horizontal", pad=0.02, fraction=0.04, aspect=28
        )
    for axis, name in zip(axes[:, 0], ("transverse", "coronal"), strict=True):
        axis.set_ylabel(name)
    axes[0, 0].plot([3, 3 + 5 / voxel[0]], [3, 3], color="w", lw=3)
    axes[0, 0].text(3, 5, "5 mm", color="w", fontsize=9)
    figure.savefig(out, dpi=75, bbox_inches="tight")


def main() -> None:
    """Print the table, or draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[71001, 71002])
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[1.0, 4.0], help="SD of the field's noise, ppb"
    )
    parser.add_argument("--methods", nargs="+", default=["huber", "nltv", "tv", "l1", "tikhonov"])
    parser.add_argument("--size", type=float, default=0.8, help="size of the head over the template's")
    parser.add_argument("--voxel", type=float, default=1.0, help="voxel edge, mm")
    parser.add_argument("--crop", type=Path, nargs=2, metavar=("OUT", "PNG"), help="draw the figure only")
    options = parser.parse_args()
    if options.crop:
        draw(*options.crop)
        return
    print("seed   noise     method         NRMSE%    slope   nuclei    cross")
    for seed in options.seeds:
        table(seed, options.noise, options.methods, options.size, options.voxel)


if __name__ == "__main__":
    main()
