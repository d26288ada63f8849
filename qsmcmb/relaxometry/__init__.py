"""R2* from the decay of the magnitude.

======== ===================================================== ==================================
method   idea                                                  reference
======== ===================================================== ==================================
weighted line through the logarithm, weights magnitude^2       Bevington, Data Reduction (1969)
arlo     Simpson's rule on the decay; needs even echo spacing  Pei 2015, 10.1002/mrm.25137
======== ===================================================== ==================================
"""

__all__ = ("METHODS",)

METHODS = {
    "weighted": "qsmcmb.relaxometry.r2star:fit_log_linear",
    "arlo": "qsmcmb.relaxometry.r2star:fit_arlo",
}
