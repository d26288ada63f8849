"""Inverse problem: total susceptibility, centre and shape of one lesion from the complex signal of all echoes.

The objective is a robust weighted sum of squares, with Gaussian priors on what is known beforehand,

    C(p) = sum rho(w |s(p) - y|) + (p - p0)^T Sigma^-1 (p - p0),

of the model's signal s and the data y, minimised by Levenberg-Marquardt (doi:10.1137/0111030). `initial` starts from
the field map (`field_fit`), `shape_selection` compares ball, spheroid and pair, `free_source_fit` adds balls where none
of them describes the lesion, `refinement` adds the Gaussian process prior of the tissue, `uncertainty` turns the fit
state into an SD. `vein` and `adjacent_vein` compare with an infinite cylinder by the Bayesian information criterion
(doi:10.1214/aos/1176344136). `screening` turns the detector's candidates away that are no lesions, before all of that.
`refinement.fit_lesion` is the whole fit of one lesion by itself.
"""

__all__: tuple[str, ...] = ()
