"""Names of structures, regions and territories: the one list of them, and which belongs to which.

A structure is the smallest part that a region map or a segmentation tells apart. Each belongs to one region of MARS, to
one region of BOMBS and to one territory. The territory is that of MARS: its corpus callosum, deep and periventricular
white matter are deep. BOMBS has no row of its own for them; its subcortical white matter holds all white matter of the
hemispheres but the capsules. A segmentation without lobes has cortex and white matter whose region of MARS is unknown;
their territory is that of BOMBS.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = (
    "BOMBS_REGIONS",
    "BOMBS_TERRITORY",
    "MARS_REGIONS",
    "MARS_TERRITORY",
    "STRUCTURES",
    "TERRITORIES",
    "Structure",
)

TERRITORIES = ("lobar", "deep", "infratentorial")
"""Territories of the lesion table."""
MARS_TERRITORY = {
    "brainstem": "infratentorial",
    "cerebellum": "infratentorial",
    "basal ganglia": "deep",
    "thalamus": "deep",
    "internal capsule": "deep",
    "external capsule": "deep",
    "corpus callosum": "deep",
    "deep and periventricular white matter": "deep",
    "frontal": "lobar",
    "parietal": "lobar",
    "temporal": "lobar",
    "occipital": "lobar",
    "insula": "lobar",
}
"""Territory of each region of MARS, in the order of its form (doi:10.1212/WNL.0b013e3181c34a7d)."""
MARS_REGIONS = tuple(MARS_TERRITORY)
"""The 13 regions of MARS: the words of the column `mars_region`."""
BOMBS_TERRITORY = {
    "cortex or grey-white junction": "lobar",
    "subcortical white matter": "lobar",
    "basal ganglia grey matter": "deep",
    "internal and external capsule": "deep",
    "thalamus": "deep",
    "brainstem": "infratentorial",
    "cerebellum": "infratentorial",
}
"""Territory of each region of BOMBS, in the order of its form (doi:10.1161/STROKEAHA.108.526996)."""
BOMBS_REGIONS = tuple(BOMBS_TERRITORY)
"""The 7 regions of BOMBS: the words of the column `bombs_region`."""


class Structure(NamedTuple):
    """A part of the brain, and the regions that it belongs to.

    Parameters
    ----------
    label : int
        Number in the region map, from 1; the same on both sides.
    name : str
        Name in the region table.
    mars : str or None
        One of `MARS_REGIONS`; None where the lobe is unknown.
    bombs : str
        One of `BOMBS_REGIONS`.

    Examples
    --------
    >>> STRUCTURES["putamen"].mars, STRUCTURES["putamen"].territory
    ('basal ganglia', 'deep')
    """

    label: int
    name: str
    mars: str | None
    bombs: str

    @property
    def territory(self) -> str:
        """Territory, by the region of MARS where there is one."""
        return BOMBS_TERRITORY[self.bombs] if self.mars is None else MARS_TERRITORY[self.mars]


CORTEX, WHITE, CAPSULES = BOMBS_REGIONS[0], BOMBS_REGIONS[1], BOMBS_REGIONS[3]
_ROWS: tuple[tuple[str, str | None, str], ...] = (
    ("brainstem", "brainstem", "brainstem"),
    ("red nucleus", "brainstem", "brainstem"),
    ("substantia nigra", "brainstem", "brainstem"),
    ("cerebellar cortex", "cerebellum", "cerebellum"),
    ("cerebellar white matter", "cerebellum", "cerebellum"),
    ("dentate nucleus", "cerebellum", "cerebellum"),
    ("caudate nucleus", "basal ganglia", "basal ganglia grey matter"),
    ("putamen", "basal ganglia", "basal ganglia grey matter"),
    ("pallidum", "basal ganglia", "basal ganglia grey matter"),
    ("thalamus", "thalamus", "thalamus"),
    ("internal capsule", "internal capsule", CAPSULES),
    ("external capsule", "external capsule", CAPSULES),
    ("corpus callosum", "corpus callosum", WHITE),
    ("deep white matter", "deep and periventricular white matter", WHITE),
    ("frontal cortex", "frontal", CORTEX),
    ("frontal white matter", "frontal", WHITE),
    ("parietal cortex", "parietal", CORTEX),
    ("parietal white matter", "parietal", WHITE),
    ("temporal cortex", "temporal", CORTEX),
    ("temporal white matter", "temporal", WHITE),
    ("occipital cortex", "occipital", CORTEX),
    ("occipital white matter", "occipital", WHITE),
    ("insular cortex", "insula", CORTEX),
    ("insular white matter", "insula", WHITE),
    ("hippocampus", "temporal", CORTEX),
    ("amygdala", "temporal", CORTEX),
    ("nucleus accumbens", "basal ganglia", "basal ganglia grey matter"),
    ("ventral diencephalon", "thalamus", "thalamus"),
    ("cerebral cortex", None, CORTEX),
    ("cerebral white matter", None, WHITE),
)
STRUCTURES = {name: Structure(label, name, mars, bombs) for label, (name, mars, bombs) in enumerate(_ROWS, 1)}
"""Structures by name, in the order of their labels."""
