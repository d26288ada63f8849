"""Total field -> local field: what sources outside the brain make is taken out.

========== =========================== ======== ==========================================
method     cost                        erodes   reference
========== =========================== ======== ==========================================
sharp      two transform pairs         yes      Schweser 2011, 10.1016/j.neuroimage.2010.10.070
vsharp     one transform a radius      rim      Wu 2012, 10.1002/mrm.23000
resharp    two pairs an iteration      yes      Sun 2014, 10.1002/mrm.24765
ismv       one pair an iteration       rim      Wen 2014, 10.1002/mrm.24998
harperella two pairs an iteration      no       Li 2014, 10.1002/nbm.3056
pdf        two pairs an iteration      no       Liu 2011, 10.1002/nbm.1670
lbv        4-8 multigrid cycles        1 voxel  Zhou 2014, 10.1002/nbm.3064
slbv       two pairs an iteration      no       the module slbv; keeps sources at the mask's edge
========== =========================== ======== ==========================================
"""

__all__ = ("METHODS",)

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
