"""Change between sessions: lesions matched, each change held against its own limit."""

__all__: tuple[str, ...] = ()
