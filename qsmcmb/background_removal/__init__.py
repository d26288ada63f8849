"""Total field -> local field: what sources outside the brain make is taken out.

======= =========================== ======== ==========================================
method  cost                        erodes   reference
======= =========================== ======== ==========================================
sharp   two transform pairs         yes      Schweser 2011, 10.1016/j.neuroimage.2010.10.070
vsharp  one transform a radius      rim      Wu 2012, 10.1002/mrm.23000
pdf     two pairs an iteration      no       Liu 2011, 10.1002/nbm.1670
lbv     4-8 multigrid cycles        1 voxel  Zhou 2014, 10.1002/nbm.3064
jpdf    two pairs an iteration      no       this module; keeps sources at the mask's edge
======= =========================== ======== ==========================================
"""

METHODS = {
    "sharp": "qsmcmb.background_removal.sharp:remove_sharp",
    "vsharp": "qsmcmb.background_removal.vsharp:remove_vsharp",
    "pdf": "qsmcmb.background_removal.pdf:remove_pdf",
    "lbv": "qsmcmb.background_removal.lbv:remove_lbv",
    "jpdf": "qsmcmb.background_removal.jpdf:remove_jpdf",
}
