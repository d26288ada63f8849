"""Local field -> susceptibility.

========= ============ ===========================
method    starts from  cost
========= ============ ===========================
tkd       local field  one transform pair
tsvd      local field  one transform pair
tikhonov  local field  one transform pair
ilsqr     local field  10-30 pairs
l1        local field  two pairs an iteration
wh        local field  three pairs an iteration
hd        local field  two pairs an iteration
ndi       local field  2-20 pairs
tv        local field  two pairs an iteration
rts       local field  one pair an iteration
medi      local field  two pairs an iteration
nltv      local field  two pairs an iteration
huber     local field  two pairs an iteration
fansi_tgv local field  two pairs an iteration
fansi_tv  local field  two pairs an iteration
tfi       total field  two pairs an iteration
tgv       phase        two pairs an iteration
========= ============ ===========================

A new method is a module here with one function `invert_<name>`, compiled loops beside it in `_<name>_loops.py`. It is
listed above, in `METHODS` and in `DESCRIPTIONS` (sentence and citation, from `qsmcmb.core.references`), in STARTS_FROM
where it does not start from the local field, in SHORT where it takes few transforms. The tests are
`tests/dipole_inversion` and the rows of `tests/properties/table.py`; new terms go to docs/glossary.md, a change that
users see to CHANGELOG.md. Configuration, command line and reports read `METHODS` (CONTRIBUTING.md has the rules).
"""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("DEFAULT", "DESCRIPTIONS", "METHODS", "SHORT", "STARTS_FROM")

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
    "huber": "qsmcmb.dipole_inversion.huber:invert_huber",
    "fansi_tgv": "qsmcmb.dipole_inversion.fansi_tgv:invert_fansi_tgv",
    "fansi_tv": "qsmcmb.dipole_inversion.fansi_tv:invert_fansi_tv",
    "tfi": "qsmcmb.dipole_inversion.tfi:invert_tfi",
    "tgv": "qsmcmb.dipole_inversion.tgv:invert_tgv",
}
DEFAULT = "huber"
"""Method of the pipeline, of the Python function and of the command where none is named."""

STARTS_FROM: dict[str, str] = {"tfi": "total field", "tgv": "wrapped phase"}
"""Data that a method starts from where they are not the local field: "total field" (ppm), "wrapped phase" (rad)."""

SHORT = frozenset({"tkd", "tsvd", "tikhonov", "ndi"})
"""Methods of so few transforms that mapping memory page by page would be a good part of their time."""

DESCRIPTIONS = {
    "tkd": Description(
        name="thresholded k-space division",
        sentence="The local field was inverted by thresholded k-space division.",
        references=(refs.SHMUELI_2009, refs.SCHWESER_2013),
    ),
    "tsvd": Description(
        name="truncated singular value decomposition",
        sentence="The local field was inverted by truncated singular value decomposition, which leaves "
        "k-space empty where the dipole kernel is small.",
        references=(refs.WHARTON_2010, refs.SCHWESER_2013),
    ),
    "tikhonov": Description(
        name="Tikhonov regularisation",
        sentence="The local field was inverted with Tikhonov regularisation in closed form.",
        references=(refs.BILGIC_2014_L2, refs.KRESSLER_2010),
    ),
    "ilsqr": Description(
        name="iLSQR",
        sentence="The local field was inverted with iLSQR, by weighted least squares whose streaks were "
        "estimated in the cone of k-space and subtracted.",
        references=(refs.LI_2015,),
    ),
    "l1": Description(
        name="L1-QSM",
        sentence="The local field was inverted with L1-QSM, by total variation with an absolute data term "
        "on the phase factor.",
        references=(refs.MILOVIC_2022,),
    ),
    "wh": Description(
        name="weak-harmonic QSM",
        sentence="The local field was inverted with weak-harmonic QSM, by total variation with a nonlinear "
        "data term and a nearly harmonic field beside that of the map.",
        references=(refs.MILOVIC_2019,),
    ),
    "hd": Description(
        name="HD-QSM",
        sentence="The local field was inverted with HD-QSM, by total variation with a data term that is "
        "absolute first and squared after.",
        references=(refs.LAMBERT_2022,),
    ),
    "ndi": Description(
        name="nonlinear dipole inversion",
        sentence="The local field was inverted by nonlinear dipole inversion, in preconditioned steps on "
        "the phase factor that stop early.",
        references=(refs.POLAK_2020,),
    ),
    "tv": Description(
        name="plain total variation",
        sentence="The local field was inverted with plain total variation and a weighted squared data "
        "term, by the alternating direction method of multipliers.",
        references=(refs.BILGIC_2014_L1, refs.MILOVIC_2018),
    ),
    "rts": Description(
        name="rapid two-step inversion",
        sentence="The local field was inverted by rapid two-step inversion, with least squares where the "
        "dipole kernel is large and total variation where it is not.",
        references=(refs.KAMES_2018,),
    ),
    "medi": Description(
        name="MEDI",
        sentence="The local field was inverted with MEDI, by total variation away from the edges of the "
        "magnitude and a nonlinear data term.",
        references=(refs.LIU_2012_MEDI, refs.LIU_2013),
    ),
    "nltv": Description(
        name="re-weighted total variation",
        sentence="The local field was inverted by re-weighted total variation, whose weight falls where "
        "the map itself has edges.",
        references=(refs.CANDES_2008,),
    ),
    "huber": Description(
        name="Huber-regularised total variation",
        sentence="The local field was inverted with Huber-regularised total variation, quadratic for "
        "gradients of tissue and linear for edges, with iterative refinement and weights from the field's errors.",
        references=(refs.HUBER_1964, refs.OSHER_2005, refs.CANDES_2008),
    ),
    "fansi_tgv": Description(
        name="FANSI-TGV",
        sentence="The local field was inverted with FANSI-TGV, by total generalised variation of second "
        "order and a nonlinear data term.",
        references=(refs.MILOVIC_2018, refs.BREDIES_2010),
    ),
    "fansi_tv": Description(
        name="FANSI-TV",
        sentence="The local field was inverted with FANSI-TV, by total variation and a nonlinear data term.",
        references=(refs.MILOVIC_2018,),
    ),
    "tfi": Description(
        name="total field inversion",
        sentence="The map was found by total field inversion, which fits sources inside and outside the "
        "brain to the total field together.",
        references=(refs.LIU_2017,),
    ),
    "tgv": Description(
        name="single-step TGV",
        sentence="The map was found from the wrapped phase by single-step TGV, which inverts the Laplacian "
        "of the phase with total generalised variation.",
        references=(refs.LANGKAMMER_2015, refs.BREDIES_2010),
    ),
}
