"""Inverse problem: total susceptibility, centre and shape of one lesion from the complex signal of all echoes.

The objective is a robust weighted sum of squares, with Gaussian priors on what is known beforehand,

    C(p) = sum w^2 rho(|s(p) - d|) + (p - p0)^T Sigma^-1 (p - p0),

minimised by Levenberg-Marquardt (doi:10.1137/0111030). `initial` starts from the field map, `shape_selection` compares
ball, spheroid and pair, `refinement` adds the tissue's Gaussian process, `uncertainty` turns the end into an SD. `vein`
and `adjacent_vein` compare with an infinite cylinder by the Bayesian information criterion
(doi:10.1214/aos/1176344136).
"""
