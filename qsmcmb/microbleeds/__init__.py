"""Find microbleeds and measure each by its total susceptibility.

The total susceptibility M of a lesion is its excess susceptibility over the tissue that it displaces, integrated over
its volume, in ppm mm3. Outside a compact source its field is that of a point dipole of strength M,

    dB / B0 = M (3 cos^2 theta - 1) / (4 pi r^3),

so that M depends neither on field strength nor on echo time nor on voxel size. Three estimators read it, and they fail
for different reasons:

- the lesion fit (`fit`), from the complex signal of all echoes;
- the map sum (`crosscheck.map_sum`), from the susceptibility map (Liu et al. 2012, doi:10.1148/radiol.11110251);
- the signal loss (`crosscheck.signal_loss`), from the volume of the void.

Rooms, from the top: `measure.py` runs a measurement; `joint_fit.py` refines its lesions together; `results` describes
it; `calibration` finds how this scan sees; `conventional` says what other scans would have shown; `fit` solves the
inverse problem; `crosscheck` holds the two other estimators; `signal` is the forward model; `detection` finds
candidates and maps the detection limit. Imports point down in this order.
"""

__all__: tuple[str, ...] = ()
