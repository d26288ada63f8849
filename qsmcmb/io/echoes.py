"""The images of one scan by echo, with what their sidecars say: each step is a gate of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError, MissingMetadataError
from qsmcmb.io.agreement import check_scan_agreement
from qsmcmb.io.bids_index import Image, SessionFiles
from qsmcmb.io.echo_times import EchoTime, check_parts, phase_echo_times
from qsmcmb.io.entities import echo_label, natural_key, same_value
from qsmcmb.io.field_strength import FieldStrength, find_field_strength
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import read_volume
from qsmcmb.io.volume_series import refuse_list_of_echo_times, refuse_series

__all__: tuple[str, ...] = ()

COMPUTED = "rad (computed)"
"""Unit of phase that is computed from real and imaginary parts."""
PAIRS = (("phase", "mag"), ("real", "imag"))
"""Parts that make an echo."""


def sidecar_of(image: Image, root: Path) -> dict[str, Any]:
    """Return the metadata of an image: all JSON files that apply, from the root down, nearest last."""
    merged: dict[str, Any] = {}
    folders = [root, *reversed([p for p in image.path.parents if root in p.parents])]
    for folder in folders:
        for path in sorted(folder.glob(f"*{image.suffix}.json"), key=lambda p: len(p.name)):
            tokens = path.name.removesuffix(".json").split("_")[:-1]
            pairs = [t.partition("-") for t in tokens]
            if all(dash and same_value(key, image.entities.get(key), value) for key, dash, value in pairs):
                merged.update(read_sidecar(path))
    return merged


def check_runs(files: SessionFiles) -> None:
    """Raise where runs, or acquisitions named for an echo, have one echo each at its own time: they are echoes."""
    first = files.images[0]
    others = [image for image in files.other_runs if image.echo == first.echo]
    if not others or len({image.echo for image in files.images}) > 1:
        return
    name = next((n for n in ("run", "acq") if first.entities.get(n) != others[0].entities.get(n)), "run")
    images = sorted([first, *others], key=lambda i: natural_key(i.entities.get(name, "")))
    stated = [sidecar_of(image, files.root).get("EchoTime") for image in images]
    times = [float(t) for t in stated if isinstance(t, int | float)]
    if len(times) < len(stated) or len({round(t, 6) for t in times}) == 1:
        return
    values = [image.entities.get(name, "none") for image in images]
    remaining = (echo_label(values[0]) or ("", 0))[0] if name == "acq" else ""
    new = f"acq-{remaining}_echo" if remaining else "echo"
    pairs = ", ".join(f"{name}-{value} to {new}-{n}" for n, value in enumerate(values, start=1))
    raise InvalidInputError(
        "ECHO-RUNS", first.path, field=name,
        found=f"{', '.join(values)} with EchoTime {', '.join(map(str, times))} s",
        expected="echo-1, echo-2 and so on for echoes; one echo time in all runs",
        fix=f"echoes: rename images and JSON files, {pairs}; scans of their own: give each an acq- label that names "
        "no echo",
    )  # fmt: skip


def check_channels(files: SessionFiles) -> None:
    """Raise for receive channels of one echo: it doesn't show the phase that each channel has of its own."""
    channels = sorted({i.channel for i in files.images if i.channel is not None}, key=natural_key)
    if len(channels) < 2 or len({image.echo for image in files.images}) > 1:
        return
    raise InvalidInputError(
        "COILS", files.images[0].path, field="echoes of each channel", found=f"1 (channels {', '.join(channels)})",
        expected="at least 2, or combined images",
        fix=f'export the combined images, or choose one channel, {{"coil": "{channels[0]}"}} in --bids-filter-file',
    )  # fmt: skip


def by_echo(files: SessionFiles) -> list[dict[str, Image]]:
    """Return part -> image for each echo; anything that makes two scans of one is refused."""
    table: dict[tuple[int, str], Image] = {}
    for image in files.images:
        key = (image.echo, image.part)
        if key in table:
            raise InvalidInputError(
                "DUP", image.path, field="echo and part", found=f"also in {table[key].path.name}",
                expected="one image for each echo and part",
                fix="remove one, or give it another run, rec or acq in its name",
            )  # fmt: skip
        table[key] = image
    echoes = []
    for number in sorted({n for n, _ in table}):
        parts = {part: image for (n, part), image in table.items() if n == number}
        pair = next((p for p in PAIRS if set(p) <= set(parts)), None)
        if pair is None:
            raise _several_volumes(parts) or _without_partner(table, files.notes)
        echoes.append({p: parts[p] for p in pair})
    return echoes


def _several_volumes(parts: Mapping[str, Image]) -> InvalidInputError | None:
    """Return the error of a lone image that holds several volumes, perhaps magnitude and phase."""
    lone = parts.get("mag")
    volume = read_volume(lone.path) if lone else None
    if lone is None or volume is None or volume.data.ndim == 3:
        return None
    return refuse_series(volume, lone.entities, lone.suffix)


def _without_partner(table: Mapping[tuple[int, str], Image], notes: Sequence[str]) -> MissingMetadataError:
    """Return the error for echoes that have one of their two images, with all of these echoes."""
    partners = {"phase": "mag", "mag": "phase", "real": "imag", "imag": "real"}
    lacking: dict[str, list[int]] = {}
    for number, part in sorted(table):
        if (number, partners[part]) not in table:
            lacking.setdefault(partners[part], []).append(number)
    found = "; ".join(f"no {part} for echo {', '.join(map(str, n))}" for part, n in lacking.items())
    is_shared = "mag" in lacking and len(table) > 1
    more = (
        "; where the scanner wrote one magnitude for all echoes, `qsmcmb recon` takes it: --phase FILE... --mag FILE"
        if is_shared else ""
    )  # fmt: skip
    if "mag" in lacking and sum(note.count(".nii") for note in notes) >= len(lacking["mag"]):
        # Phase and magnitude whose names differ in more than part are two scans.
        more = f" ({'; '.join(notes)}: rename it as the phase where it is of this scan){more}"
    first = next(image for (n, part), image in sorted(table.items()) if n in lacking.get(partners[part], []))
    return MissingMetadataError(
        "PART", first.path, field="part", found=found, expected="mag and phase, or real and imag, for each echo",
        fix=f"add the missing images, of the same suffix and entities but part{more}",
    )  # fmt: skip


def echo_times_of(
    echoes: Sequence[dict[str, Image]], metas: Sequence[dict[str, dict[str, Any]]]
) -> list[EchoTime]:
    """Return the echo times, on which both images of an echo must agree."""
    for echo, meta in zip(echoes, metas, strict=True):
        for part, image in echo.items():
            refuse_list_of_echo_times(meta[part], image.path)
    # The first image is the phase, or one that becomes part of it.
    parts = [list(echo) for echo in echoes]
    times = phase_echo_times(
        [meta[part[0]] for meta, part in zip(metas, parts, strict=True)],
        [echo[part[0]].path for echo, part in zip(echoes, parts, strict=True)],
    )
    for time, echo, meta, (first, second) in zip(times, echoes, metas, parts, strict=True):
        check_parts(time, meta[second], echo[second].path, echo[first].path, meta[first])
    return times


def field_strength_of(
    echoes: Sequence[dict[str, Image]], metas: Sequence[dict[str, dict[str, Any]]]
) -> FieldStrength:
    """Return the field strength, once all sidecars of the scan agree on it and on what else is the scan's."""
    images = [
        (part, image.path, meta[part])
        for echo, meta in zip(echoes, metas, strict=True)
        for part, image in echo.items()
    ]
    found = find_field_strength([meta for _, _, meta in images], [path for _, path, _ in images])
    check_scan_agreement(images)
    return found


def stated_units(metas: Sequence[dict[str, dict[str, Any]]]) -> object:
    """Return the unit of phase that the sidecars state, None where they state none."""
    if "phase" not in metas[0]:
        return COMPUTED
    return next((m["phase"]["Units"] for m in metas if "Units" in m["phase"]), None)
