"""Forward model: the complex signal of a scan around one lesion.

    s(r, TE) = A(r, TE) exp(i phi(r, TE)) [1 + (h * (f - 1))(r, TE)]

A and phi are magnitude and phase of the tissue: polynomials, and a Gaussian process of the tissue's heterogeneity
(`tissue`, `gaussian_process`). f is the factor of the lesion (`source_shapes`): exp(i 2 pi gamma B0 TE dB) outside the
body, with the field dB in ppm of a dipole, a spheroid or a cylinder, and exp(-TE R2*) inside. h is the point spread of
the scan (`point_spread`, `background_phase`): its k-space window or slice profile along each axis (`acquisition`),
widened by a box. The signal is formed on cells smaller than a voxel where it varies fast. All of it is made for the
voxels of a `patch`; `reference_patches` finds patches without a lesion. `model` puts the parts together.
"""

__all__: tuple[str, ...] = ()
