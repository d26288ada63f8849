"""What can go wrong, and the exit code that says so.

Every error that a user can cause names the file, the field, what was found, what was expected and the fix.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_BAD_INPUT = 65
EXIT_NOTHING_MATCHED = 66
EXIT_MISSING_PACKAGE = 69
EXIT_BUG = 70
EXIT_MEMORY = 71
EXIT_CANNOT_CREATE = 73
EXIT_IO = 74


class QsmcmbError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = EXIT_BAD_INPUT


class InvalidInputError(QsmcmbError, ValueError):
    """A file or an array that cannot be used.

    Parameters
    ----------
    code : str
        Short fixed code such as ``"TUNITS"``.
    where : str
        File (or argument) at fault.
    field : str
        Field of the file at fault.
    found, expected, fix : str
        What was found, what was expected, what to do.
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
        return (
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
    return cls(code, where, field=field, found=found, expected=expected, fix=fix)


class MissingMetadataError(InvalidInputError):
    """A field that the computation needs is nowhere to be found."""


class NothingMatchedError(InvalidInputError):
    """Labels or filters select no session."""

    exit_code = EXIT_NOTHING_MATCHED


class OutputError(InvalidInputError):
    """The output folder cannot be created or written."""

    exit_code = EXIT_CANNOT_CREATE


class ConfigError(QsmcmbError, ValueError):
    """An unknown method, option or value in the configuration or on the command line."""

    exit_code = EXIT_USAGE
