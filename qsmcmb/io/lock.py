"""One owner of an output folder: a lock file that says who works on it, on which machine and since when."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qsmcmb.errors import LockedError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ("hold_lock",)

HEARTBEAT_S = 30.0
"""Seconds between two signs of life: the time of the lock file is set anew."""
MAX_SILENCE_S = 600.0
"""Seconds without a sign of life after which the run of another machine counts as ended: twenty signs missed."""


@contextlib.contextmanager
def hold_lock(path: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder for the `with` block.

    Parameters
    ----------
    path : Path
        The lock file; its folder exists. It is gone after the block.
    say : callable
        Takes a note where a lock is taken over from a run that has ended.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    LockedError
        LOCKED: another run holds it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with hold_lock(Path(folder) / "lock", say=print):
    ...         json.loads((Path(folder) / "lock").read_text())["pid"] == os.getpid()
    True
    """
    handle, held_by_system = _open(path)
    try:
        _take(path, handle, held_by_system, say)
        stop = threading.Event()
        beat = threading.Thread(target=_beat, args=(handle, stop), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            if _is_file(path, handle):
                path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _open(path: Path) -> tuple[int, bool]:
    """Return a handle of the lock file, and whether the system holds its lock for us, where it has such locks."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            held = _lock(handle)
        except BlockingIOError:
            record = _read(handle)
            os.close(handle)
            raise _locked(path, record) from None
        if _is_file(path, handle):
            return handle, held
        # Its owner has removed it in the meantime.
        os.close(handle)


def _lock(handle: int) -> bool:
    """Say whether the system locks the file; False where the file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _take(path: Path, handle: int, held_by_system: bool, say: Callable[[str], None]) -> None:
    """Write our record, unless a run that lives has its own there."""
    record = _read(handle)
    if record is not None:
        ended = _why_ended(record, os.fstat(handle).st_mtime, held_by_system)
        if not ended:
            raise _locked(path, record)
        say(f"note: {path} was left by a run {_describe(record)}; {ended}, so that this run takes over")
    text = json.dumps(_own_record(held_by_system), ensure_ascii=True)
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
    os.fsync(handle)


def _why_ended(record: dict[str, Any], last_sign: float, held_by_system: bool) -> str:
    """Return why the run that wrote a lock has ended; an empty string where it may still be at work."""
    if not record:
        return "its record is damaged, and nothing holds it"
    if record.get("host") != socket.gethostname():
        silence = time.time() - last_sign
        return f"it gave no sign of life for {silence / 60:.0f} minutes" if silence > MAX_SILENCE_S else ""
    if record.get("boot") != _boot():
        return "the machine has been restarted since"
    if held_by_system and record.get("held_by_system"):
        return "its process has ended"
    pid = record.get("pid")
    if isinstance(pid, int) and pid > 0 and _process_start(pid) == record.get("process_start"):
        return "" if _exists(pid) else "its process has ended"
    return "its process has ended"


def _exists(pid: int) -> bool:
    """Say whether a process lives; one of another user does, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _own_record(held_by_system: bool) -> dict[str, Any]:
    """Return who we are."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"user {os.getuid()}"
    return {
        "user": user, "host": socket.gethostname(), "pid": os.getpid(), "process_start": _process_start(os.getpid()),
        "boot": _boot(), "since": datetime.now(UTC).isoformat(timespec="seconds"), "held_by_system": held_by_system,
    }  # fmt: skip


def _process_start(pid: int) -> str | None:
    """Return when a process began, in ticks since the start of the machine; None where that is not known."""
    try:
        # The second field is the program's name, which may hold spaces and brackets.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _boot() -> str | None:
    """Return the number of this start of the machine; None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _read(handle: int) -> dict[str, Any] | None:
    """Return the record in a lock file: None in an empty one, an empty record where it is damaged."""
    content = os.pread(handle, 65536, 0)
    if not content:
        return None
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_file(path: Path, handle: int) -> bool:
    """Say whether the file under a name is the one of a handle."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(handle))
    except OSError:
        return False


def _beat(handle: int, stop: threading.Event) -> None:
    """Give a sign of life from time to time."""
    while not stop.wait(HEARTBEAT_S):
        with contextlib.suppress(OSError):
            os.utime(handle)


def _describe(record: dict[str, Any]) -> str:
    """Return the owner of a lock in words."""
    if not record:
        return "of unknown owner"
    since = str(record.get("since", "?")).replace("T", " ").replace("+00:00", " UTC")
    user, host, pid = (record.get(key, "?") for key in ("user", "host", "pid"))
    return f"of {user} on {host} (process {pid}), since {since}"


def _locked(path: Path, record: dict[str, Any] | None) -> LockedError:
    return LockedError(
        "LOCKED", path, field="held", found=f"by a run {_describe(record or {})}",
        expected="one run at a time on an output folder",
        fix="wait until it has ended (end a page of `qsmcmb review` with Ctrl-C) and run the same command again, or "
        "choose another output folder",
    )  # fmt: skip
