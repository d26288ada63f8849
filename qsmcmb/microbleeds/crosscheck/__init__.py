"""Two estimators that fail for other reasons than the fit, the dipole at a given position, and the void.

Map sum: M = v sum_ball (chi - background), divided by the fraction that the pipeline leaves of the fitted dipole.
Signal loss: the volume V = sum (1 - Re S / S_tissue) v of the lost signal, which for a strong source is
2 pi / (9 sqrt 3) gamma B0 TE |M| (`signal_loss` has the exact curve). `agreement` compares them with the fit.
`forced_dipole` reads M at a given position from the local field; `visible_void` measures the dark region.
`surroundings` and `head_frame` say what lies around a candidate, and where in the head it is.
"""

__all__: tuple[str, ...] = ()
