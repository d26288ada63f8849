"""Memory of a run: what a session needs, what there is, and how many sessions fit beside each other.

The estimate is a line through measured peaks (docs/notes/2026-11-29-large-studies.md) with a sixth on top. A network
that makes the mask takes its own, of any image (docs/notes/2026-11-30-learned-mask-memory.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.io.nifti import read_volume_header

__all__ = ["Memory", "estimate_bytes", "estimate_session", "fitting", "lacking", "memory_limit", "parse_size"]

BASE_BYTES = 500e6
"""Memory of a process whatever its image: Python, the libraries, loops while they are compiled, the region map."""
BYTES_PER_VOXEL = 170.0
"""Memory for each voxel, however many echoes: fields, maps and the working volumes of inversion and fit."""
BYTES_PER_SAMPLE = 15.0
"""Memory for each voxel of each echo: magnitude, phase and what unwrapping and field mapping make of them."""
NETWORK_BYTES = {"deepbet": 1.4e9}
"""Memory, by mask method, of a network while it works; what the map needs comes later."""
LIBRARY_BYTES = {"deepbet": 0.7e9}
"""Memory, by mask method, that a network's libraries hold on to until the process ends."""
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
UNLIMITED = 2**60
"""Limits from here on are none: systems write one that no machine reaches."""


class Memory(NamedTuple):
    """Memory that a run may use.

    Parameters
    ----------
    limit_bytes : int
        Number of bytes.
    source : str
        What sets the limit.

    Examples
    --------
    >>> Memory(8 * 2**30, "--mem").text
    '8.0 GB (--mem)'
    """

    limit_bytes: int
    source: str

    @property
    def text(self) -> str:
        """The limit in words."""
        return f"{_gigabytes(self.limit_bytes)} ({self.source})"


def _gigabytes(size: float) -> str:
    return f"{size / UNITS['G']:.1f} GB"


def parse_size(text: str) -> int:
    """Return a number of bytes from text such as `8G`.

    Parameters
    ----------
    text : str
        A number, with K, M, G or T for powers of 1024, and an optional B.

    Returns
    -------
    int
        Bytes, > 0.

    Raises
    ------
    ConfigError
        Other text.

    Examples
    --------
    >>> parse_size("1.5G"), parse_size("800MB")
    (1610612736, 838860800)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:I?B)?", text.strip().upper())
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if size <= 0:
        raise ConfigError(f"--mem {text!r}; expected a size such as 8G")
    return size


def memory_limit(stated: int | None = None, *, root: Path = Path("/")) -> Memory:
    """Return the memory that a run may use: as stated, else the least limit of container, shell and machine.

    Parameters
    ----------
    stated : int, optional
        The user's word, bytes.
    root : Path, optional
        Folder that holds `proc` and `sys`.

    Returns
    -------
    Memory
        The limit and what sets it.

    Examples
    --------
    >>> memory_limit(2**30).source
    '--mem'
    """
    if stated is not None:
        return Memory(stated, "--mem")
    found = [*_container_limits(root), *_shell_limit(), *_machine(root)]
    return min((m for m in found if m.limit_bytes < UNLIMITED), default=Memory(UNLIMITED, "no limit known"))


def _container_limits(root: Path) -> list[Memory]:
    """Return the limits of the control groups that this process is in, of both versions."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # Inside a container its own group is the top, whatever path the host has for it.
        inside = top / group.lstrip("/")
        folders = [inside, *(p for p in inside.parents if top in (p, *p.parents)), top]
        limits = [_number(folder / name) for folder in folders]
        found += [Memory(limit, "limit of the container") for limit in limits if limit]
    return found


def _number(path: Path) -> int:
    """Return the number in a file; 0 where there is none."""
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0


def _shell_limit() -> list[Memory]:
    """Return the limit of address space, as `ulimit -v` sets it."""
    try:
        import resource
    except ImportError:
        return []
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if soft == resource.RLIM_INFINITY else [Memory(soft, "limit of address space")]


def _machine(root: Path) -> list[Memory]:
    """Return the memory of the machine."""
    try:
        found = re.search(r"^MemTotal:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return []
    return [Memory(int(found[1]) * 1024, "memory of the machine")] if found else []


def estimate_bytes(voxels: int, echoes: int, *, mask_method: str | None = None) -> int:
    """Return the most memory that a session's process will hold.

    Parameters
    ----------
    voxels : int
        Voxels of one volume.
    echoes : int
        Number of echoes; of uncombined channels, echoes times channels.
    mask_method : str, optional
        Method that makes the mask; None where the user gives it.

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> round(estimate_bytes(256 * 256 * 160, 5) / 2**30)
    3
    """
    network, libraries = (table.get(mask_method or "", 0.0) for table in (NETWORK_BYTES, LIBRARY_BYTES))
    maps = voxels * BYTES_PER_VOXEL + libraries
    return int(BASE_BYTES + voxels * echoes * BYTES_PER_SAMPLE + max(network, maps))


def estimate_session(session: SessionFiles, *, mask_method: str | None = None) -> int:
    """Return the most memory that a session's process will hold, from the header of its first image.

    Parameters
    ----------
    session : SessionFiles
        Its images.
    mask_method : str, optional
        Method that makes the mask; None where the user gives it.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    InvalidInputError, OSError
        The image cannot be read.

    Examples
    --------
    >>> estimate_session(session)  # doctest: +SKIP
    """
    nx, ny, nz, *_ = (*read_volume_header(session.images[0].path).data.shape, 1, 1)
    return estimate_bytes(nx * ny * nz, -(-len(session.images) // 2), mask_method=mask_method)


def fitting(needs: Sequence[int], n_processes: int, memory: Memory) -> int:
    """Return how many sessions fit beside each other, at least one.

    Parameters
    ----------
    needs : sequence of int
        Bytes of each session.
    n_processes : int
        Number that the user wants.
    memory : Memory
        The limit.

    Returns
    -------
    int
        Number of sessions, 1 to `n_processes`.

    Examples
    --------
    >>> fitting([3, 2, 3], 3, Memory(6, "--mem"))
    2
    """
    largest = sorted(needs, reverse=True)
    count = max(1, min(n_processes, len(needs)))
    while count > 1 and sum(largest[:count]) > memory.limit_bytes:
        count -= 1
    return count


def lacking(name: str, need: int, memory: Memory) -> InvalidInputError:
    """Return the error of a session that does not fit.

    Parameters
    ----------
    name : str
        The session.
    need : int
        Bytes that it needs.
    memory : Memory
        The limit.

    Returns
    -------
    InvalidInputError
        MEM.

    Examples
    --------
    >>> str(lacking("sub-01", 2**33, Memory(2**32, "--mem")))[:54]
    'ERROR MEM sub-01: memory = 4.0 GB (--mem); expected ab'
    """
    return InvalidInputError(
        "MEM", name, field="memory", found=memory.text, expected=f"about {_gigabytes(need)}",
        fix="give the container or the machine more memory; where there is more than was found, state it with --mem",
    )  # fmt: skip
