"""Numbers of FreeSurfer's labels: the structure and the side of each, and by `regions.STRUCTURES` its regions.

FreeSurfer, FastSurfer and SynthSeg number alike: `aseg` for the parts of the brain, 1000 to 1035 (left) and 2000 to
2035 (right) for the cortex of Desikan and Killiany's atlas, 3000 and 4000 for the white matter below it. The lobe of
each gyrus is that of FreeSurfer's list of lobes; anterior cingulate cortex is frontal, posterior one parietal.

References
----------
Fischl B, Salat DH, Busa E, et al. Whole brain segmentation: automated labeling of neuroanatomical structures in the
human brain. Neuron 2002;33:341-355. doi:10.1016/s0896-6273(02)00569-x
Desikan RS, Segonne F, Fischl B, et al. An automated labeling system for subdividing the human cerebral cortex on MRI
scans into gyral based regions of interest. NeuroImage 2006;31:968-980. doi:10.1016/j.neuroimage.2006.01.021
"""

from __future__ import annotations

from typing import NamedTuple

from qsmcmb.anatomy.regions import STRUCTURES, Structure

__all__ = ("CORTEX_PARCELS", "SEGMENTATION_LABELS", "VENTRICLES", "SegmentationLabel")


class SegmentationLabel(NamedTuple):
    """A label of a segmentation.

    Parameters
    ----------
    number : int
        Value in the image.
    name : str
        Name in FreeSurfer's table of colours.
    structure : Structure or None
        Structure with its regions; None for fluid, vessels and what is no brain: the nearest structure counts there.
    side : str or None
        Left or right; None for a label of both sides, where the plane between the halves tells.

    Examples
    --------
    >>> label = SEGMENTATION_LABELS[13]
    >>> label.name, label.structure.mars, label.structure.territory, label.side
    ('Left-Pallidum', 'basal ganglia', 'deep', 'left')
    """

    number: int
    name: str
    structure: Structure | None
    side: str | None


_PAIRS = (
    (2, 41, "Cerebral-White-Matter", "cerebral white matter"),
    (3, 42, "Cerebral-Cortex", "cerebral cortex"),
    (4, 43, "Lateral-Ventricle", None),
    (5, 44, "Inf-Lat-Vent", None),
    (7, 46, "Cerebellum-White-Matter", "cerebellar white matter"),
    (8, 47, "Cerebellum-Cortex", "cerebellar cortex"),
    (9, 48, "Thalamus-unused", "thalamus"),
    (10, 49, "Thalamus", "thalamus"),
    (11, 50, "Caudate", "caudate nucleus"),
    (12, 51, "Putamen", "putamen"),
    (13, 52, "Pallidum", "pallidum"),
    (17, 53, "Hippocampus", "hippocampus"),
    (18, 54, "Amygdala", "amygdala"),
    (26, 58, "Accumbens-area", "nucleus accumbens"),
    (28, 60, "VentralDC", "ventral diencephalon"),
    (29, 61, "undetermined", None),
    (30, 62, "vessel", None),
    (31, 63, "choroid-plexus", None),
    (78, 79, "WM-hypointensities", "cerebral white matter"),
    (81, 82, "non-WM-hypointensities", None),
    (5001, 5002, "UnsegmentedWhiteMatter", "cerebral white matter"),
)
"""Number on the left and on the right, name, structure."""
_UNSIDED = (
    (14, "3rd-Ventricle", None),
    (15, "4th-Ventricle", None),
    (16, "Brain-Stem", "brainstem"),
    (24, "CSF", None),
    (72, "5th-Ventricle", None),
    (77, "WM-hypointensities", "cerebral white matter"),
    (80, "non-WM-hypointensities", None),
    (85, "Optic-Chiasm", None),
    (165, "Skull", None),
    (173, "Midbrain", "brainstem"),
    (174, "Pons", "brainstem"),
    (175, "Medulla", "brainstem"),
    (178, "SCP", "brainstem"),
    (192, "Corpus_Callosum", "corpus callosum"),
    (251, "CC_Posterior", "corpus callosum"),
    (252, "CC_Mid_Posterior", "corpus callosum"),
    (253, "CC_Central", "corpus callosum"),
    (254, "CC_Mid_Anterior", "corpus callosum"),
    (255, "CC_Anterior", "corpus callosum"),
    (257, "CSF-ExtraCerebral", None),
    (258, "Head-ExtraCerebral", None),
)
"""Number, name and structure of labels that both sides share."""
_GYRI = (
    ("unknown", "cerebral cortex"),
    ("bankssts", "temporal cortex"),
    ("caudalanteriorcingulate", "frontal cortex"),
    ("caudalmiddlefrontal", "frontal cortex"),
    ("corpuscallosum", "corpus callosum"),
    ("cuneus", "occipital cortex"),
    ("entorhinal", "temporal cortex"),
    ("fusiform", "temporal cortex"),
    ("inferiorparietal", "parietal cortex"),
    ("inferiortemporal", "temporal cortex"),
    ("isthmuscingulate", "parietal cortex"),
    ("lateraloccipital", "occipital cortex"),
    ("lateralorbitofrontal", "frontal cortex"),
    ("lingual", "occipital cortex"),
    ("medialorbitofrontal", "frontal cortex"),
    ("middletemporal", "temporal cortex"),
    ("parahippocampal", "temporal cortex"),
    ("paracentral", "frontal cortex"),
    ("parsopercularis", "frontal cortex"),
    ("parsorbitalis", "frontal cortex"),
    ("parstriangularis", "frontal cortex"),
    ("pericalcarine", "occipital cortex"),
    ("postcentral", "parietal cortex"),
    ("posteriorcingulate", "parietal cortex"),
    ("precentral", "frontal cortex"),
    ("precuneus", "parietal cortex"),
    ("rostralanteriorcingulate", "frontal cortex"),
    ("rostralmiddlefrontal", "frontal cortex"),
    ("superiorfrontal", "frontal cortex"),
    ("superiorparietal", "parietal cortex"),
    ("superiortemporal", "temporal cortex"),
    ("supramarginal", "parietal cortex"),
    ("frontalpole", "frontal cortex"),
    ("temporalpole", "temporal cortex"),
    ("transversetemporal", "temporal cortex"),
    ("insula", "insular cortex"),
)
"""Gyri of Desikan and Killiany, by their number less 1000 (left) or 2000 (right), and the structure of each."""
VENTRICLES = (4, 43, 5, 44, 31, 63)
"""Numbers of the lateral ventricles with what lies in them."""
CORTEX_PARCELS = range(1000, 3000)
"""Numbers of cortex whose lobe is known."""


def _labels() -> list[SegmentationLabel]:
    """Return all labels."""
    rows: list[tuple[int, str, str | None, str | None]] = [
        (number, f"{side.capitalize()}-{name}", structure, side)
        for left, right, name, structure in _PAIRS
        for number, side in ((left, "left"), (right, "right"))
    ]
    rows += [(number, name, structure, None) for number, name, structure in _UNSIDED]
    for side, hemisphere, first in (("left", "lh", 1000), ("right", "rh", 2000)):
        for i, (gyrus, structure) in enumerate(_GYRI):
            rows.append((first + i, f"ctx-{hemisphere}-{gyrus}", structure, side))
            white = structure if structure == "corpus callosum" else "cerebral white matter"
            rows.append((first + 2000 + i, f"wm-{hemisphere}-{gyrus}", white, side))
    return [SegmentationLabel(n, name, STRUCTURES[s] if s else None, side) for n, name, s, side in rows]


SEGMENTATION_LABELS = {label.number: label for label in sorted(_labels())}
"""Labels by number."""
