"""Local field -> susceptibility.

======= ============ =========================== ==========================================
method  starts from  cost                        reference
======= ============ =========================== ==========================================
tkd     local field  one transform pair          Shmueli 2009, 10.1002/mrm.22135
tsvd    local field  one transform pair          Wharton 2010, 10.1002/mrm.22334
tikhonov local field one transform pair          Bilgic 2014, 10.1002/mrm.25029
ilsqr   local field  10-30 pairs                 Li 2015, 10.1016/j.neuroimage.2014.12.043
l1      local field  two pairs an iteration      Milovic 2022, 10.1002/mrm.28957
wh      local field  three pairs an iteration    Milovic 2019, 10.1002/mrm.27483
hd      local field  two pairs an iteration      Lambert 2022, 10.1002/mrm.29218
ndi     local field  2-20 pairs                  Polak 2020, 10.1002/nbm.4271
tv      local field  two pairs an iteration      Bilgic 2014, 10.1002/mrm.25029
rts     local field  one pair an iteration       Kames 2018, 10.1016/j.neuroimage.2017.11.018
medi    local field  two pairs an iteration      Liu 2013, 10.1002/mrm.24272
nltv    local field  two pairs an iteration      Candes 2008, 10.1007/s00041-008-9045-x
fansi_tgv local field two pairs an iteration     Milovic 2018, 10.1002/mrm.27073
fansi_tv local field two pairs an iteration      Milovic 2018, 10.1002/mrm.27073
tfi     total field  two pairs an iteration      Liu 2017, 10.1002/mrm.26331
tgv     phase        two pairs an iteration      Langkammer 2015, 10.1016/j.neuroimage.2015.02.041
======= ============ =========================== ==========================================
"""

__all__ = ("METHODS", "SHORT", "STARTS_FROM")

METHODS = {
    "tkd": "qsmcmb.dipole_inversion.tkd:invert_tkd",
    "tsvd": "qsmcmb.dipole_inversion.tsvd:invert_tsvd",
    "tikhonov": "qsmcmb.dipole_inversion.tikhonov:invert_tikhonov",
    "ilsqr": "qsmcmb.dipole_inversion.ilsqr:invert_ilsqr",
    "l1": "qsmcmb.dipole_inversion.l1:invert_l1",
    "wh": "qsmcmb.dipole_inversion.wh:invert_wh",
    "hd": "qsmcmb.dipole_inversion.hd:invert_hd",
    "ndi": "qsmcmb.dipole_inversion.ndi:invert_ndi",
    "tv": "qsmcmb.dipole_inversion.tv:invert_tv",
    "rts": "qsmcmb.dipole_inversion.rts:invert_rts",
    "medi": "qsmcmb.dipole_inversion.medi:invert_medi",
    "nltv": "qsmcmb.dipole_inversion.nltv:invert_nltv",
    "fansi_tgv": "qsmcmb.dipole_inversion.fansi_tgv:invert_fansi_tgv",
    "fansi_tv": "qsmcmb.dipole_inversion.fansi_tv:invert_fansi_tv",
    "tfi": "qsmcmb.dipole_inversion.tfi:invert_tfi",
    "tgv": "qsmcmb.dipole_inversion.tgv:invert_tgv",
}

STARTS_FROM: dict[str, str] = {"tfi": "total field", "tgv": "wrapped phase"}
"""What a method starts from where it is not the local field: "total field" (ppm) or "wrapped phase" (rad)."""

SHORT = frozenset({"tkd", "tsvd", "tikhonov", "ndi"})
"""Methods of so few transforms that mapping memory page by page would be a good part of their time."""
