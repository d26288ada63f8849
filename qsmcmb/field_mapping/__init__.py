"""Phase of all echoes -> total field in Hz with its standard deviation.

========== ============================================================ ===================================
method     idea                                                         reference
========== ============================================================ ===================================
weighted   phase offset removed first (`offset.remove_phase_offset`),   Robinson 2017, 10.1002/nbm.3601
           then a line through 0, weights magnitude^2 TE^2
========== ============================================================ ===================================
"""

METHODS = {"weighted": "qsmcmb.field_mapping.weighted:fit_weighted"}
