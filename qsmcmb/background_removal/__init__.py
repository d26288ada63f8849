"""Total field -> local field: take out the field of sources outside the brain.

========== =========================== ========
method     cost                        erodes
========== =========================== ========
sharp      two transform pairs         yes
vsharp     one transform a radius      rim
resharp    two pairs an iteration      yes
ismv       one pair an iteration       rim
harperella two pairs an iteration      no
pdf        two pairs an iteration      no
lbv        4-8 multigrid cycles        1 voxel
slbv       two pairs an iteration      no
========== =========================== ========

`slbv` leaves sources at the mask's edge alone (see the module).
"""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS", "METHODS", "SMOOTH_REMAINDER")

METHODS = {
    "sharp": "qsmcmb.background_removal.sharp:remove_sharp",
    "vsharp": "qsmcmb.background_removal.vsharp:remove_vsharp",
    "resharp": "qsmcmb.background_removal.resharp:remove_resharp",
    "ismv": "qsmcmb.background_removal.ismv:remove_ismv",
    "harperella": "qsmcmb.background_removal.harperella:remove_harperella",
    "pdf": "qsmcmb.background_removal.pdf:remove_pdf",
    "lbv": "qsmcmb.background_removal.lbv:remove_lbv",
    "slbv": "qsmcmb.background_removal.slbv:remove_slbv",
}
DEFAULT = "slbv"
"""Method of the pipeline, of the Python function and of the command where none is named."""

DESCRIPTIONS = {
    "sharp": Description(
        name="SHARP",
        sentence="Background fields were removed with SHARP, which subtracts the mean over a sphere and "
        "deconvolves what is left.",
        references=(refs.SCHWESER_2011,),
    ),
    "vsharp": Description(
        name="V-SHARP",
        sentence="Background fields were removed with V-SHARP, which subtracts the mean over the largest "
        "sphere that fits into the mask and deconvolves what is left.",
        references=(refs.WU_2012, refs.LI_2011),
    ),
    "resharp": Description(
        name="RESHARP",
        sentence="Background fields were removed with RESHARP, which finds the local field of least norm "
        "with the spherical high-pass of the total field.",
        references=(refs.SUN_2014,),
    ),
    "ismv": Description(
        name="iterative spherical mean values",
        sentence="Background fields were removed by iterative spherical mean values, as the field that the "
        "mean over a sphere leaves unchanged.",
        references=(refs.WEN_2014,),
    ),
    "harperella": Description(
        name="HARPERELLA",
        sentence="Background fields were removed with HARPERELLA, as the field without a Laplacian inside "
        "the brain that leaves least of the total field there.",
        references=(refs.LI_2014,),
    ),
    "pdf": Description(
        name="projection onto dipole fields",
        sentence="Background fields were removed by projection onto dipole fields, as the field of the "
        "sources outside the brain that explains the total field best.",
        references=(refs.LIU_2011,),
    ),
    "lbv": Description(
        name="LBV",
        sentence="Background fields were removed with LBV, as the harmonic field that equals the total "
        "field on the outermost layer of the mask.",
        references=(refs.ZHOU_2014,),
    ),
    "slbv": Description(
        name="source-aware boundary value problem",
        sentence="Background fields were removed by a source-aware boundary value problem, as the harmonic "
        "field that equals the total field on the outermost layer of the mask once the fields of "
        "strong sources are subtracted.",
        references=(refs.ZHOU_2014, refs.LIU_2017),
    ),
}

SMOOTH_REMAINDER = Description(
    name="smooth remainder",
    sentence="The smooth remainder of the receive phase, which one echo does not tell from the field, was taken off "
    "the local field as a polynomial of up to fourth order.",
    references=(refs.KAN_2019,),
)
"""Removal of what the receive phase leaves in the local field, wherever there is one echo."""
