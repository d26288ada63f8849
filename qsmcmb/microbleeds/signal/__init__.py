"""Forward model: the complex signal of a scan around one lesion.

    s(r, TE) = A(r, TE) exp(i phi(r, TE)) [1 + (P * (f - 1))(r, TE)]

A and phi are magnitude and phase of the tissue: polynomials, and a Gaussian process of the tissue's heterogeneity. f is
the factor of the lesion: exp(i 2 pi gamma B0 TE dB) outside the body, with the dipole's (or spheroid's, or cylinder's)
field dB in ppm, and exp(-TE R2*) inside. P is the point spread of the scan: its k-space window or slice profile along
each axis, widened by a box. The signal is formed on cells smaller than a voxel where it turns fast.
"""
