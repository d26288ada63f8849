"""Arrays in, arrays out: the numerical tools that all stages share. Nothing here knows a file or the pipeline."""

__all__: tuple[str, ...] = ()
