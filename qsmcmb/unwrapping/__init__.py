"""Phase unwrapping: add the multiples of 2 pi that make the phase a function of the field.

=========== =========================================== ==================== =================================
method      idea                                        needs                reference
=========== =========================================== ==================== =================================
romeo       region growing along the best edges, then   magnitude and echo   Dymerska 2021,
            echo to echo in time                        times help           10.1002/mrm.28563
laplacian   Poisson's equation of the phase's           echo times help      Schofield and Zhu 2003,
            Laplacian, on the mask or its box; smooth,                       10.1364/OL.28.001194
            or to whole turns (`exact`)
bestpath    edges sorted by second differences, groups  echo times help      Abdul-Rahman 2007,
            joined along them                                                10.1364/AO.46.006623
=========== =========================================== ==================== =================================

`singularities.find_singularities` looks for fringe lines with open ends, which no method can unwrap.
"""

__all__ = ("METHODS",)

METHODS = {
    "romeo": "qsmcmb.unwrapping.romeo:unwrap_romeo",
    "laplacian": "qsmcmb.unwrapping.laplacian:unwrap_laplacian",
    "bestpath": "qsmcmb.unwrapping.bestpath:unwrap_bestpath",
}
