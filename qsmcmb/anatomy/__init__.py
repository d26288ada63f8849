"""Anatomical location of lesions: side and territory."""

__all__: tuple[str, ...] = ()
