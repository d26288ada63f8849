"""Phantoms through the pipeline against their truth: demonstration, self test, and validation against stated limits."""

__all__: tuple[str, ...] = ()
