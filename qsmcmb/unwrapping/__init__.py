"""Phase unwrapping: add the multiples of 2 pi that make the phase a function of the field.

=========== =========================================== ====================
method      idea                                        needs
=========== =========================================== ====================
romeo       region growing along the best edges, then   magnitude and echo
            echo to echo in time                        times help
laplacian   Poisson's equation of the phase's           echo times help
            Laplacian, on the mask or its box; smooth,
            or to whole turns (`exact`)
bestpath    edges sorted by second differences, groups  echo times help
            joined along them
=========== =========================================== ====================

`singularities.find_singularities` looks for fringe lines with open ends, which no method can unwrap.
"""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS", "METHODS")

METHODS = {
    "romeo": "qsmcmb.unwrapping.romeo:unwrap_romeo",
    "laplacian": "qsmcmb.unwrapping.laplacian:unwrap_laplacian",
    "bestpath": "qsmcmb.unwrapping.bestpath:unwrap_bestpath",
}
DEFAULT = "romeo"
"""Method of the pipeline, of the Python function and of the command where none is named."""

DESCRIPTIONS = {
    "romeo": Description(
        name="ROMEO",
        sentence="The phase was unwrapped with ROMEO, which grows regions along the most reliable edges "
        "between voxels.",
        references=(refs.DYMERSKA_2021,),
    ),
    "laplacian": Description(
        name="Laplacian unwrapping",
        sentence="The phase was found by Laplacian unwrapping, which solves Poisson's equation for the "
        "Laplacian of the true phase.",
        references=(refs.SCHOFIELD_2003, refs.GHIGLIA_1994),
    ),
    "bestpath": Description(
        name="best-path unwrapping",
        sentence="The phase was unwrapped by best-path unwrapping, which joins voxels along edges sorted "
        "by second differences.",
        references=(refs.ABDUL_RAHMAN_2007,),
    ),
}
