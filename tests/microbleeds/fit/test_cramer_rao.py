"""The bound against its closed form, against the inverse of the Fisher matrix, and against repeated fits."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.errors import InvalidInputError
from qsmcmb.microbleeds.fit.cramer_rao import cramer_rao_sd
from qsmcmb.units import dipole_phase_constant

B0_DIR = np.array([0.0, 0.0, 1.0])


def shell_points(voxel_mm: float, inner_mm: float, outer_mm: float) -> np.ndarray:
    line = np.arange(-outer_mm, outer_mm + voxel_mm / 2, voxel_mm) + voxel_mm / 4
    xyz = np.stack(np.meshgrid(line, line, line, indexing="ij")).reshape(3, -1)
    radius = np.sqrt((xyz**2).sum(axis=0))
    return xyz[:, (radius > inner_mm) & (radius < outer_mm)]


def test_one_echo_full_shell_has_the_closed_form() -> None:
    voxel, inner, outer, snr, te_s = 0.25, 2.0, 6.0, 30.0, 0.020
    xyz = shell_points(voxel, inner, outer)
    phase = 4 * np.pi * dipole_phase_constant(3.0, te_s) * point_dipole_field(xyz, B0_DIR)
    bound = cramer_rao_sd(1j * phase[:, None], 1 / snr)
    per_moment = dipole_phase_constant(3.0, te_s)
    closed = np.sqrt(15 * voxel**3 / (16 * np.pi * (1 / inner**3 - 1 / outer**3))) / (per_moment * snr)
    assert bound == pytest.approx(closed, rel=0.01)


def test_nuisances_raise_the_bound_as_the_fisher_matrix_says() -> None:
    rng = np.random.default_rng(1)
    jacobian = rng.standard_normal((50, 4)) + 1j * rng.standard_normal((50, 4))
    jacobian[:, 1] += 2 * jacobian[:, 0]
    sd = rng.uniform(0.5, 2.0, 50)
    fisher = ((jacobian.conj() / sd[:, None] ** 2).T @ jacobian).real
    for parameter in range(4):
        expected = np.sqrt(np.linalg.inv(fisher)[parameter, parameter])
        assert cramer_rao_sd(jacobian, sd, parameter=parameter) == pytest.approx(expected, rel=1e-9)
    assert cramer_rao_sd(jacobian, sd) > cramer_rao_sd(jacobian[:, :1], sd)


def test_what_the_samples_do_not_determine_has_no_bound() -> None:
    column = np.ones((10, 1), complex)
    assert cramer_rao_sd(np.concatenate([column, 3 * column], axis=1), 1.0) == np.inf
    with pytest.raises(InvalidInputError, match="above 0"):
        cramer_rao_sd(column, 0.0)


def test_repeated_fits_reach_the_bound() -> None:
    xyz = shell_points(1.0, 2.0, 6.0)
    te = np.array([0.010, 0.020])
    turns = np.array([4 * np.pi * dipole_phase_constant(3.0, t) for t in te])

    def signal(p: np.ndarray) -> np.ndarray:
        field = p[0] * point_dipole_field(xyz - p[1:4, None], B0_DIR) + p[4] * 0.01
        return (p[5] * np.exp(1j * np.outer(turns, field))).reshape(-1)

    def derivatives(p: np.ndarray) -> np.ndarray:
        steps = np.eye(6) * 1e-5
        return np.stack([(signal(p + s) - signal(p - s)) / 2e-5 for s in steps], axis=1)

    truth, noise = np.array([2.0, 0.3, -0.2, 0.1, 1.0, 1.0]), 0.05
    bound = cramer_rao_sd(derivatives(truth), noise)
    rng = np.random.default_rng(2)
    clean, found = signal(truth), []
    for _ in range(200):
        draws = rng.standard_normal((2, clean.size))
        data, p = clean + noise * (draws[0] + 1j * draws[1]), truth.copy()
        for _ in range(3):
            jacobian, left = derivatives(p), data - signal(p)
            normal = (jacobian.conj().T @ jacobian).real
            p = p + np.linalg.solve(normal, (jacobian.conj().T @ left).real)
        found.append(p[0])
    # 200 draws know an SD to 5 %.
    assert np.std(found) / bound == pytest.approx(1.0, abs=0.15)
