"""Errors raised on purpose, and the exit codes of the command line.

Every error that a user can cause names the file, the field, what was found, what was expected and the fix.
"""

from __future__ import annotations

__all__ = (
    "EXIT_BAD_INPUT",
    "EXIT_BUG",
    "EXIT_CANNOT_CREATE",
    "EXIT_IO",
    "EXIT_LOCKED",
    "EXIT_MEMORY",
    "EXIT_MISSING_PACKAGE",
    "EXIT_NOTHING_MATCHED",
    "EXIT_OK",
    "EXIT_SOME_FAILED",
    "EXIT_USAGE",
    "ClusterError",
    "ConfigError",
    "Interrupted",
    "InvalidInputError",
    "LockedError",
    "MissingMetadataError",
    "MissingPackageError",
    "NothingMatchedError",
    "OutputError",
    "OverwriteError",
    "QsmcmbError",
    "StorageError",
    "escape_controls",
)

EXIT_OK = 0
"""Exit code when all is done: 0 by convention."""
EXIT_SOME_FAILED = 1
"""Exit code when at least one session is done and at least one failed: 1, which belongs to no single cause."""
EXIT_USAGE = 2
"""Exit code of a command line or configuration that cannot be understood: 2, as argument parsers use it."""
EXIT_BAD_INPUT = 65
"""Exit code of input that cannot be used: 65, EX_DATAERR of sysexits.h."""
EXIT_NOTHING_MATCHED = 66
"""Exit code when labels or filters select nothing: 66, EX_NOINPUT of sysexits.h."""
EXIT_MISSING_PACKAGE = 69
"""Exit code when an optional package is not installed or a scheduler not there: 69, EX_UNAVAILABLE of sysexits.h."""
EXIT_BUG = 70
"""Exit code of an error nobody foresaw: 70, EX_SOFTWARE of sysexits.h."""
EXIT_MEMORY = 71
"""Exit code when memory does not suffice: 71, EX_OSERR of sysexits.h."""
EXIT_CANNOT_CREATE = 73
"""Exit code when the output cannot be created: 73, EX_CANTCREAT of sysexits.h."""
EXIT_IO = 74
"""Exit code of a disk that is full or fails: 74, EX_IOERR of sysexits.h."""
EXIT_LOCKED = 75
"""Exit code when another run works on the same output: 75, EX_TEMPFAIL of sysexits.h: try again later."""


def escape_controls(text: str) -> str:
    r"""Return a text in which no character moves a cursor, colours or reorders anything: such ones are written out.

    Values of files go into messages. A line break could forge a line of ours, an escape sequence hide one.

    Parameters
    ----------
    text : str
        Any text, also one of bytes that are no UTF-8.

    Returns
    -------
    str
        One line, of printable characters.

    Examples
    --------
    >>> print(escape_controls("4 ms\nERROR \x1b[2J"))
    4 ms\nERROR \x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class QsmcmbError(Exception):
    """Base of all errors raised on purpose.

    Attributes
    ----------
    exit_code : int
        What the command line returns when this error ends it.

    Examples
    --------
    >>> QsmcmbError("no such thing").exit_code
    65
    """

    exit_code = EXIT_BAD_INPUT


class InvalidInputError(QsmcmbError, ValueError):
    """A file or an array that cannot be used.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"TUNITS"``.
    where : object
        File (or argument) at fault; shown as text.
    field : str
        Field of the file at fault.
    found : object
        What was found; shown as text.
    expected : str
        What was expected, with its unit.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> print(InvalidInputError("B0", "a.json", field="B0", found=-3, expected="tesla, > 0", fix="correct it"))
    ERROR B0 a.json: B0 = -3; expected tesla, > 0. Fix: correct it
    """

    def __init__(
        self, code: str, where: object, *, field: str, found: object, expected: str, fix: str
    ) -> None:
        self.code = code
        self.where = str(where)
        self.field = field
        self.found = str(found)
        self.expected = expected
        self.fix = fix
        super().__init__(code, self.where, field, self.found, expected, fix)

    def __str__(self) -> str:
        return escape_controls(
            f"ERROR {self.code} {self.where}: {self.field} = {self.found}; "
            f"expected {self.expected}. Fix: {self.fix}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments: the default reduction could not rebuild the error in a parent process.
        return (
            _rebuild,
            (type(self), self.code, self.where, self.field, self.found, self.expected, self.fix),
        )


def _rebuild(
    cls: type[InvalidInputError], code: str, where: str, field: str, found: str, expected: str, fix: str
) -> InvalidInputError:
    """Return an error from its fields, in another process."""
    return cls(code, where, field=field, found=found, expected=expected, fix=fix)


class MissingMetadataError(InvalidInputError):
    """A field that the computation needs and that is nowhere to be found.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"B0-MISSING"``.
    where : object
        File (or argument) at fault; shown as text.
    field : str
        Field that is missing.
    found : object
        What was found; shown as text.
    expected : str
        What was expected, with its unit.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> error = MissingMetadataError("B0", "a.json", field="B0", found="nothing", expected="T", fix="add it")
    >>> error.field, error.exit_code
    ('B0', 65)
    """


class NothingMatchedError(InvalidInputError):
    """Labels or filters that select no session.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"NO-MATCH"``.
    where : object
        Data set that was searched; shown as text.
    field : str
        What was selected by.
    found : object
        What was asked for; shown as text.
    expected : str
        What there is.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> NothingMatchedError("NO", "bids", field="sub", found="7", expected="sub-01", fix="correct it").exit_code
    66
    """

    exit_code = EXIT_NOTHING_MATCHED


class MissingPackageError(InvalidInputError):
    """An optional package that is not installed.

    Parameters
    ----------
    code : str
        Short fixed code, ``"PACKAGE"``.
    where : object
        Name of the package, or names separated by commas.
    field : str
        What about it is at fault.
    found : object
        What was found; shown as text.
    expected : str
        What was expected.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> MissingPackageError("PACKAGE", "x", field="installed", found="no", expected="yes", fix="pip ...").exit_code
    69
    """

    exit_code = EXIT_MISSING_PACKAGE


class ClusterError(InvalidInputError):
    """A scheduler that does not answer, or workers that cannot do the work.

    Parameters
    ----------
    code : str
        Short fixed code, ``"CLUSTER"``.
    where : object
        Address of the scheduler or worker.
    field : str
        What about it is at fault.
    found : object
        What was found; shown as text.
    expected : str
        What was expected.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> ClusterError("CLUSTER", "x", field="answer", found="none", expected="one", fix="start it").exit_code
    69
    """

    exit_code = EXIT_MISSING_PACKAGE


class OutputError(InvalidInputError):
    """An output folder that cannot be created or written.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"OUT"``.
    where : object
        Folder or file at fault; shown as text.
    field : str
        What about it is at fault.
    found : object
        What the system says; shown as text.
    expected : str
        What was expected.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> OutputError("OUT", "/", field="folder", found="denied", expected="a folder", fix="choose another").exit_code
    73
    """

    exit_code = EXIT_CANNOT_CREATE


class OverwriteError(InvalidInputError):
    """An output that would replace an input, or what someone else has written.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"OVERWRITE"``.
    where : object
        File or folder that would be written; shown as text.
    field : str
        Option that names it.
    found : object
        What was found; shown as text.
    expected : str
        What was expected.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> OverwriteError("OVERWRITE", "a", field="b", found="c", expected="d", fix="e").exit_code
    2
    """

    exit_code = EXIT_USAGE


class StorageError(InvalidInputError):
    """A file that cannot be written to the end: the disk is full, or fails.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"DISK"``.
    where : object
        The file; shown as text.
    field : str
        What about it is at fault.
    found : object
        What was found; shown as text.
    expected : str
        What was expected.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> StorageError("DISK", "a", field="b", found="c", expected="d", fix="e").exit_code
    74
    """

    exit_code = EXIT_IO


class LockedError(InvalidInputError):
    """An output folder that another run is working on.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"LOCKED"``.
    where : object
        The folder; shown as text.
    field : str
        What about it is at fault.
    found : object
        What was found; shown as text.
    expected : str
        What was expected.
    fix : str
        What to do, in the imperative.

    Examples
    --------
    >>> LockedError("LOCKED", "a", field="b", found="c", expected="d", fix="e").exit_code
    75
    """

    exit_code = EXIT_LOCKED


class ConfigError(QsmcmbError, ValueError):
    """An unknown method, option or value in the configuration or on the command line.

    Examples
    --------
    >>> ConfigError("no option 'lamda'").exit_code
    2
    """

    exit_code = EXIT_USAGE


class Interrupted(BaseException):
    """End of a run at a signal: nothing but the command line takes it up.

    Parameters
    ----------
    signal_number : int
        Number of the signal.

    Attributes
    ----------
    exit_code : int
        128 and the number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.

    Examples
    --------
    >>> Interrupted(2).exit_code
    130
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
