"""The command line: one small file per command, which parses, calls, and gives the exit code."""

__all__: tuple[str, ...] = ()
