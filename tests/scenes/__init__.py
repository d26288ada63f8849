"""Small, seeded scenes whose truth is known in closed form: tests import these and never each other.

geometry        grids and masks: odd, anisotropic, oblique; coordinates in mm
turned          the same scene turned by 90 degrees, mirrored, or in a larger volume, its grid and B0 with it
sources         fields of balls inside and outside a mask: `sphere`, `dipole_pair`, `head`
echoes          wrapped phase and decaying magnitude of several echoes, with the phase before it was wrapped
lesion_signal   complex signal of balls with dephasing inside the voxels
patches         the same as the measurement sees it
phantom_scans   scans of the package's phantoms: a tube that is a vein, and patches of a whole scan
small_scans     scans of 32 mm with balls, retained signal and air, and what is measured at points of them
results         finished results of a subject as files, without a pipeline
browser         a browser without a screen, cut off from the network, that hears of every error of a page

Each function states what is true of its scene; `test_scenes.py` holds it to that.
"""
