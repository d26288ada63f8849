"""Phantoms built from recipes: anatomy on a fine grid, dipole field, signal with dephasing, k-space crop, noise.

A recipe (`data/phantoms/*.toml`) states seed, lesions and protocols; volumes are rebuilt from it and never stored.
The signal is formed on a finer grid than the scan's and outside of what the pipeline shares, so that no method is
tested on its own model.
"""

__all__: tuple[str, ...] = ()
