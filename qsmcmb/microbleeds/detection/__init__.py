"""Find candidates, and map the smallest total susceptibility that a scan could show.

A candidate is a compact source of the susceptibility map that darkens the magnitude. The detection limit at a voxel is
n SD of the total susceptibility that noise and clutter, the variation of the local field, imitate there, read by a
matched filter: the field of a dipole, made blind to a constant, to slopes and to curvature. `detection_curve` fits the
probability that a lesion is found, by its total susceptibility. `point_frame` finds points of a reader that are not in
scanner RAS+ mm, by the dark spots of the magnitude.
"""

__all__: tuple[str, ...] = ()
