"""Total field -> local field: what sources outside the brain make is taken out.

======= =========================== ======== ==========================================
method  cost                        erodes   reference
======= =========================== ======== ==========================================
sharp   two transforms              yes      Schweser 2011, 10.1016/j.neuroimage.2010.10.070
vsharp  two transforms a radius     yes      Wu 2012, 10.1002/mrm.23000
pdf     two transforms an iteration no       Liu 2011, 10.1002/nbm.1670
======= =========================== ======== ==========================================
"""

METHODS = {
    "sharp": "qsmcmb.background_removal.sharp:remove_sharp",
    "vsharp": "qsmcmb.background_removal.vsharp:remove_vsharp",
    "pdf": "qsmcmb.background_removal.pdf:remove_pdf",
}
