"""Calibration: properties of the acquisition, found from the scan itself and shared by all of its lesions.

`k_space_spectrum` finds the acquired part of k-space and the filter over it from the spectrum of the brain;
`slice_profile_choice`, `voxel_mean_choice` and `filter_taper` let the strongest lesions choose between slice profiles,
between samples and means over voxels, and between tapers;
`psf_width` pools the lesions' estimates of the point spread's extra width; `heterogeneity` measures how much the tissue
varies. `calibrate` runs all but the first, in this order of dependence, and hands their fits on.
"""

__all__: tuple[str, ...] = ()
