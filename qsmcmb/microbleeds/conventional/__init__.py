"""Conventional imaging: what it would have shown of the fitted lesions.

`protocols` says how conventional images are taken; `images` forms the signal of a fitted source as such a scan samples
it; `visibility` says whether a reader would have seen the void, and how large it is.
"""

__all__: tuple[str, ...] = ()
