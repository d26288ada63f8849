"""Phase images whose order is not that of their echo times: named with the cure, and no other scan is."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.echo_order import find_echo_order
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.plain import load_files
from qsmcmb.typing import FloatArray

TE_S = (0.005, 0.012, 0.019, 0.026)
SHAPE = (24, 26, 20)


def echoes(
    te_s: tuple[float, ...] = TE_S, *, sign: int = 1, snr: float = 40.0, bipolar: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Return phase and magnitude of tissue with fields of small bodies, a receive phase, and noise."""
    rng = np.random.default_rng(11)
    rough = rng.standard_normal(SHAPE)
    for axis in range(3):
        rough = rough + np.roll(rough, 1, axis) + np.roll(rough, -1, axis)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    field_hz = sign * (4 * rough / rough.std() + 20 * x * y + 30 * z)
    receive = 0.5 + 0.8 * x - 0.6 * y**2
    signal = []
    for number, te in enumerate(te_s):
        phase = receive + 2 * np.pi * te * field_hz + bipolar * x * (-1) ** number
        noise = rng.standard_normal((2, *SHAPE)) / snr
        signal.append(np.exp(-20 * te + 1j * phase) + noise[0] + 1j * noise[1])
    data = np.array(signal)
    return np.angle(data).astype(np.float32), np.abs(data).astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("te_s", [TE_S, TE_S[:2], TE_S[:3], (0.004, 0.030), (0.002, 0.0046, 0.0072)])
def test_every_other_order_is_found_and_the_right_one_is_none(te_s: tuple[float, ...], sign: int) -> None:
    phase, magnitude = echoes(te_s, sign=sign)
    assert find_echo_order(phase, magnitude, te_s) is None
    for order in list(permutations(range(len(te_s))))[1:]:
        found = find_echo_order(phase[list(order)], magnitude, te_s)
        assert found == tuple(int(i) for i in np.argsort(order))


@pytest.mark.parametrize(("snr", "bipolar"), [(5.0, 0.0), (40.0, 1.5), (1.0, 0.0)])
def test_noise_and_bipolar_readouts_raise_no_alarm(snr: float, bipolar: float) -> None:
    for te_s in (TE_S, (0.020, 0.022), (0.010, 0.011, 0.012, 0.013)):
        phase, magnitude = echoes(te_s, snr=snr, bipolar=bipolar)
        assert find_echo_order(phase, magnitude, te_s) is None


def test_noise_alone_has_no_order() -> None:
    rng = np.random.default_rng(2)
    phase = rng.uniform(-np.pi, np.pi, (3, *SHAPE))
    assert find_echo_order(phase, np.ones_like(phase), TE_S[:3]) is None


def write(folder: Path, phase: FloatArray, magnitude: FloatArray) -> tuple[list[Path], list[Path]]:
    """Write the echoes; return the files of phase and of magnitude."""
    names: tuple[list[Path], list[Path]] = ([], [])
    for stem, data, files in zip("pm", (phase, magnitude), names, strict=True):
        for number, volume in enumerate(data, 1):
            files.append(folder / f"{stem}{number}.nii")
            save_volume(files[-1], volume, np.eye(4))
    return names


@pytest.mark.parametrize("both", [False, True])
def test_the_images_that_the_message_names_are_the_cure(tmp_path: Path, both: bool) -> None:
    phase, magnitude = echoes()
    order = [0, 2, 1, 3]
    files = write(tmp_path, phase[order], magnitude[order] if both else magnitude)
    with pytest.raises(InvalidInputError, match=r"PHASE-ORDER .*p2\.nii.* = 1, 3, 2, 4") as caught:
        load_files(*files, TE_S, 3.0)
    named = re.findall(r"[pm]\d\.nii", caught.value.fix)
    assert named == (["p2.nii", "p3.nii", "m2.nii", "m3.nii"] if both else ["p2.nii", "p3.nii"])
    for one, two in zip(named[::2], named[1::2], strict=True):
        (tmp_path / one).rename(tmp_path / "other.nii")
        (tmp_path / two).rename(tmp_path / one)
        (tmp_path / "other.nii").rename(tmp_path / two)
    assert load_files(*files, TE_S, 3.0).n_echoes == 4


def test_all_echoes_reversed_are_refused(tmp_path: Path) -> None:
    phase, magnitude = echoes()
    files = write(tmp_path, phase[::-1], magnitude[::-1])
    with pytest.raises(InvalidInputError, match=r"PHASE-ORDER .* = 4, 3, 2, 1") as caught:
        load_files(*files, TE_S, 3.0)
    assert "phase and magnitude images in the order 4, 3, 2, 1" in caught.value.fix
    assert load_files(files[0][::-1], files[1][::-1], TE_S, 3.0).n_echoes == 4


@pytest.mark.shared
def test_a_head_of_other_code_is_in_order(shared_data: Path) -> None:
    import qsmcmb as qc

    scan = qc.load_scan(shared_data / "heads", participant="dev01", session="15T")
    assert find_echo_order(scan.phase_rad, scan.magnitude, scan.te_s) is None
    swapped = find_echo_order(scan.phase_rad[[0, 2, 1, 3]], scan.magnitude, scan.te_s)
    assert swapped == (0, 2, 1, 3)
