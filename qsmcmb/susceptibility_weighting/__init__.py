"""Susceptibility-weighted images and their minimum-intensity projection (Haacke 2004, 10.1002/mrm.20198)."""

__all__: tuple[str, ...] = ()
