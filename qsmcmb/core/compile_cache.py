"""Machine code of loops in the user's cache: what is damaged there is compiled anew, never run.

Numba keeps it as pickles, trusts them, and ends at the first one that is cut short. Here each file gets a checksum at
its end, where unpickling has long stopped, so that Numba's own files are read as well.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

__all__ = ("CheckedCache",)

MARK = b"qsmcmb-sha256:"
"""Bytes before the checksum at the end of a file."""
DIGEST_BYTES = 32
_log = logging.getLogger(__name__)


class CheckedCache(FunctionCache):
    """Numba's cache of one function, whose damage costs the time to compile and nothing else.

    Parameters
    ----------
    function : callable
        The loop, not compiled.

    Examples
    --------
    >>> from numba import njit
    >>> def double(x):
    ...     return 2 * x
    >>> CheckedCache.__mro__[1].__name__
    'FunctionCache'
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFile(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code for a signature; None where there is none that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:
            _log.warning("note: %s is compiled anew: its cached code cannot be used (%s)", self._name, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code; where the disk is full or closed, the next process compiles it again."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _log.warning(
                "note: compiled code is not kept in %s: %s", self._cache_path, error.strerror or error
            )


class _CheckedFile(IndexDataCacheFile):
    """Index and data files of a function, with checksums."""

    def _load_index(self) -> Any:
        try:
            self._check(Path(self._index_path))
            return super()._load_index()
        except FileNotFoundError:
            return {}
        except Exception as error:
            _report(self._index_path, error)
            return {}

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        try:
            self._check(path)
            return super()._load_data(name)
        except FileNotFoundError:
            raise
        except Exception as error:
            _report(path, error)
            # As of a file that is gone: it is compiled and written again.
            raise OSError(str(error)) from error

    def _check(self, path: Path) -> None:
        """Raise where the checksum at the end of a file is not that of its content."""
        content = path.read_bytes()
        marked, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        if marked.endswith(MARK) and hashlib.sha256(marked.removesuffix(MARK)).digest() != digest:
            raise ValueError("checksum does not match")

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[IO[bytes]]:
        buffer = io.BytesIO()
        yield buffer
        content = buffer.getvalue()
        with super()._open_for_write(filepath) as stream:
            stream.write(content + MARK + hashlib.sha256(content).digest())


def _report(path: object, error: Exception) -> None:
    _log.warning("note: %s in the cache of compiled code is damaged and made anew (%s)", path, error)
