"""Phase unwrapping: add the multiples of 2 pi that make the phase a function of the field.

=========== =========================================== ==================== =================================
method      idea                                        needs                reference
=========== =========================================== ==================== =================================
romeo       region growing along the best edges, then   magnitude and echo   Dymerska 2021,
            echo to echo in time                        times help           10.1002/mrm.28563
laplacian   Poisson's equation of the phase's           nothing              Schofield and Zhu 2003,
            Laplacian; smooth, not a multiple of 2 pi                        10.1364/OL.28.001194
=========== =========================================== ==================== =================================
"""

METHODS = {
    "romeo": "qsmcmb.unwrapping.romeo:unwrap_romeo",
    "laplacian": "qsmcmb.unwrapping.laplacian:unwrap_laplacian",
}
