"""Phantoms built from recipes: anatomy on a fine grid, dipole field, signal with dephasing, k-space crop, noise.

A recipe (`data/phantoms/*.toml`) states seed, lesions and protocols; volumes are rebuilt from it and never stored.
"""
