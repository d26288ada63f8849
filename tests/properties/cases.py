"""One small case for each family of methods, and one way to call them all."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import qsmcmb as qc
from qsmcmb.core.methods import load
from qsmcmb.dipole_inversion.head import starting_point
from qsmcmb.model import Grid
from qsmcmb.relaxometry.r2star import map_r2star
from qsmcmb.susceptibility_weighting.swi import make_swi, project_minimum
from qsmcmb.typing import AnyArray
from qsmcmb.units import GAMMA_MHZ_PER_T
from tests.scenes.echoes import EVEN_TE_S, TE_S, signal_of, smooth_field_hz, times, wrap
from tests.scenes.geometry import OBLIQUE, ball, ellipsoid
from tests.scenes.sources import Ball, dipole_pair, field_of
from tests.scenes.turned import View

B0_TESLA = 3.0
FAMILIES = (
    "masking", "unwrapping", "field_mapping", "background_removal", "dipole_inversion", "relaxometry",
    "susceptibility_weighting",
)  # fmt: skip
ITERATIONS = 3
"""Enough for every step of a loop to matter; few, so that no stopping rule decides."""
OWN_OPTIONS: dict[str, dict[str, Any]] = {
    # Balls that fit into a mask of 9 mm.
    "sharp": {"radius_mm": 3.0},
    "resharp": {"radius_mm": 3.0, "max_iterations": 2 * ITERATIONS},
    "ismv": {"radius_mm": 3.0, "max_iterations": 2 * ITERATIONS},
    # Their systems are ill-conditioned: later iterates of conjugate gradients are rounding, not mathematics.
    "pdf": {"max_iterations": 2 * ITERATIONS},
    "harperella": {"max_iterations": 2 * ITERATIONS},
    "slbv": {"max_iterations": 2 * ITERATIONS},
    # Multigrid that runs until float32 ends has forgotten on which voxels its coarse grids lie.
    "lbv": {"tolerance": 1e-6},
    "laplacian": {"tolerance": 1e-6},
}
"""Options that suit a small case."""


@dataclass(frozen=True)
class Case:
    """What a method is called with: volumes (or stacks of them) by name, and numbers."""

    grid: Grid
    volumes: Mapping[str, AnyArray]
    te_s: tuple[float, ...] = TE_S
    b0_tesla: float = B0_TESLA
    options: Mapping[str, Any] = field(default_factory=dict)

    def seen(self, view: View) -> Case:
        """Return the case with its voxel axes changed."""
        return replace(
            self, grid=view.grid(self.grid), volumes={k: view.volume(v) for k, v in self.volumes.items()}
        )

    def scaled(self, factor: float, *names: str) -> Case:
        """Return the case with some volumes times a factor."""
        volumes = {k: v * np.float32(factor) if k in names else v for k, v in self.volumes.items()}
        return replace(self, volumes=volumes)

    def stretched(self, factor: float) -> Case:
        """Return the case of a head so many times as large, on voxels so many times as large; options stay."""
        size = tuple(factor * v for v in self.grid.voxel_size_mm)
        return replace(self, grid=Grid(self.grid.shape, size, self.grid.b0_dir))  # type: ignore[arg-type]

    def with_volumes(self, **volumes: AnyArray) -> Case:
        """Return the case with some volumes replaced."""
        return replace(self, volumes={**self.volumes, **volumes})


def methods_of(family: str) -> tuple[str, ...]:
    """Return the names of a family's own methods; weighting has one, and the network of another package is none."""
    if family == "susceptibility_weighting":
        return ("swi",)
    return tuple(m for m in importlib.import_module(f"qsmcmb.{family}").METHODS if m != "deepbet")


def all_methods(*families: str) -> list[tuple[str, str]]:
    """Return (family, method) of all methods of some families, or of all."""
    return [(f, m) for f in families or FAMILIES for m in methods_of(f)]


def function_of(family: str, method: str) -> Callable[..., Any]:
    """Return the function that does a method's work."""
    if family == "susceptibility_weighting":
        return make_swi
    target = importlib.import_module(f"qsmcmb.{family}").METHODS[method]
    return load(target)


def options_of(family: str, method: str) -> dict[str, Any]:
    """Return the options with which a method suits a small case."""
    options: dict[str, Any] = {}
    if (
        family == "dipole_inversion"
        and "max_iterations" in inspect.signature(function_of(family, method)).parameters
    ):
        options["max_iterations"] = ITERATIONS
    options |= OWN_OPTIONS.get(method, {})
    if family == "masking":
        options |= {"open_mm": 2.0, "close_mm": 2.0}
    if family == "susceptibility_weighting":
        options["sigma_mm"] = 1.5
    return options


def make_case(family: str, method: str, grid: Grid = OBLIQUE) -> Case:
    """Return the case of a method."""
    return replace(MAKERS[family](method, grid), options=options_of(family, method))


def _masking(_: str, grid: Grid) -> Case:
    brain = ellipsoid(grid, (8.0, 7.5, 7.0))
    phase, magnitude = signal_of(smooth_field_hz(grid) / 8, np.full(grid.shape, 20.0), TE_S[:2])
    rng = np.random.default_rng(4)
    noise = rng.standard_normal((2, 2, *grid.shape)) * 0.03
    signal = np.where(brain, magnitude * np.exp(1j * phase), 0) + noise[0] + 1j * noise[1]
    return Case(
        grid,
        {"magnitude": np.abs(signal).astype(np.float32), "phase": np.angle(signal).astype(np.float32)},
        TE_S[:2],
    )


def _unwrapping(_: str, grid: Grid) -> Case:
    mask = ellipsoid(grid, (8.0, 7.5, 7.0))
    phase, magnitude = signal_of(smooth_field_hz(grid), np.full(grid.shape, 20.0), TE_S)
    return Case(grid, {"phase": phase, "magnitude": magnitude, "mask": mask})


def _field_mapping(_: str, grid: Grid) -> Case:
    mask, hertz = ellipsoid(grid, (8.0, 7.5, 7.0)), smooth_field_hz(grid)
    wrapped, magnitude = signal_of(hertz, np.full(grid.shape, 30.0), TE_S, snr=30.0)
    truth = 2 * np.pi * times(TE_S) * hertz
    return Case(
        grid,
        {
            "unwrapped": (truth + wrap(wrapped - truth)).astype(np.float32),
            "magnitude": magnitude,
            "mask": mask,
        },
    )


def _background(_: str, grid: Grid) -> Case:
    pair = dipole_pair(grid, mask_mm=9.0, away=(3.0, -4.0, 17.0), middle=(0.5, 1.0, -0.5))
    noise = np.random.default_rng(5).standard_normal((2, *grid.shape)).astype(np.float32)
    sd = (0.01 * np.exp(0.3 * noise[1])).astype(np.float32)
    total = np.where(pair.mask, pair.total + sd * noise[0], 0).astype(np.float32)
    return Case(grid, {"field": total, "mask": pair.mask, "sd": sd})


def _inversion(method: str, grid: Grid) -> Case:
    body, mask = Ball((1.0, -1.5, 0.8), 3.0, 0.3), ball(grid, 8.0)
    noise = np.random.default_rng(6).standard_normal((3, *grid.shape)).astype(np.float32)
    sd = (0.002 * np.exp(0.3 * noise[1])).astype(np.float32)
    local = np.where(mask, field_of(body, grid) + sd * noise[0], 0).astype(np.float32)
    magnitude = np.where(ball(grid, 3.0, body.centre_mm), 0.6, 1.0) + 0.02 * noise[2]
    echoes = np.stack([magnitude * np.exp(-20 * t) for t in TE_S]).astype(np.float32)
    if starting_point(method) == "wrapped phase":
        local = wrap(2 * np.pi * GAMMA_MHZ_PER_T * B0_TESLA * times(TE_S) * local).astype(np.float32)
    return Case(grid, {"field": local, "mask": mask, "sd": sd, "magnitude": echoes})


def _relaxometry(_: str, grid: Grid) -> Case:
    decay = np.broadcast_to(np.linspace(10.0, 60.0, grid.shape[0])[:, None, None], grid.shape)
    _, magnitude = signal_of(np.zeros(grid.shape), decay, EVEN_TE_S, snr=100.0)
    return Case(grid, {"magnitude": magnitude, "mask": ellipsoid(grid, (8.0, 7.5, 7.0))}, EVEN_TE_S)


def _weighting(_: str, grid: Grid) -> Case:
    phase, magnitude = signal_of(smooth_field_hz(grid) / 4, np.full(grid.shape, 20.0), TE_S, snr=20.0)
    return Case(grid, {"phase": phase, "magnitude": magnitude, "mask": ball(grid, 6.0)})


MAKERS: dict[str, Callable[[str, Grid], Case]] = {
    "masking": _masking, "unwrapping": _unwrapping, "field_mapping": _field_mapping, "background_removal": _background,
    "dipole_inversion": _inversion, "relaxometry": _relaxometry, "susceptibility_weighting": _weighting,
}  # fmt: skip


def run(family: str, method: str, case: Case) -> dict[str, AnyArray]:
    """Call a family's head; return its volumes by name."""
    v, grid, given = case.volumes, case.grid, {"method": method, "options": dict(case.options)}
    # The phase of the cases has no offset: what is looked at is the method alone.
    timed: dict[str, Any] = {"te_s": case.te_s, "offset_removed": True}
    if family == "masking":
        return {"mask": qc.mask_brain(v["magnitude"], v["phase"], grid, **given)}
    if family == "unwrapping":
        made = qc.unwrap(v["phase"], v["mask"], grid, magnitude=v["magnitude"], **timed, **given)
        return {"unwrapped": made}
    if family == "field_mapping":
        made = qc.map_field(v["unwrapped"], v["magnitude"], v["mask"], grid, **timed, **given)
        return made._asdict()
    if family == "background_removal":
        return qc.remove_background(v["field"], v["mask"], grid, field_sd_hz=v["sd"], **given)._asdict()
    if family == "relaxometry":
        return {"r2star": map_r2star(v["magnitude"], v["mask"], te_s=case.te_s, **given)}
    if family == "susceptibility_weighting":
        swi = make_swi(v["phase"], v["magnitude"], v["mask"], grid, **case.options)
        # Three slices: an even number reaches further on one side.
        thickness = 3 * grid.voxel_size_mm[int(np.argmax(np.abs(grid.b0_dir)))]
        return {"swi": swi, "mip_min": project_minimum(swi, grid, thickness_mm=thickness)}
    chi = qc.invert(
        v["field"], v["mask"], grid, field_sd_ppm=v["sd"], magnitude=v["magnitude"], te_s=case.te_s,
        b0_tesla=case.b0_tesla, **given,
    )  # fmt: skip
    return {"chi": chi}
