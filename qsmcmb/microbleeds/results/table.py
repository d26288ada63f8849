"""Lesions of one scan as a table.

The fields of `qsmcmb.lesion.Microbleed` are the columns; there is no other list of them. A new column is a field there,
with description and unit, and a value in `results.measurement.assemble_lesion`; what only the whole scan shows comes in
by `SceneContext`, which `qsmcmb.pipeline.lesions` fills. `docs/reference/outputs.md` explains it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qsmcmb.io.lesion_table import LesionRow, lesion_row
from qsmcmb.lesion import LESION_COLUMNS, Microbleed
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.evidence_table import EvidenceRow, evidence_row
from qsmcmb.microbleeds.results.mimics import read_classifier
from qsmcmb.model import Provenance
from qsmcmb.typing import IntArray

if TYPE_CHECKING:
    import pandas

__all__ = ["MicrobleedTable"]


@dataclass(frozen=True)
class MicrobleedTable:
    """Lesions of one scan with their label image and provenance.

    Examples
    --------
    >>> table = MicrobleedTable((Microbleed(1, (1.0, 2.0, 3.0)),))
    >>> float(table.to_dataframe()["x_mm"][0])
    1.0
    """

    lesions: tuple[Microbleed, ...]
    """Candidates, in the order of the points."""
    labels: IntArray | None = None
    """Label image of the visible lesions on the scan's grid; None where there is none."""
    provenance: Provenance = field(default_factory=Provenance)
    """Inputs, methods and versions behind the numbers."""
    warnings: tuple[str, ...] = ()
    """What the user must know of the scan and its reading."""
    evidence: tuple[Evidence | None, ...] = ()
    """Evidence of each candidate, in their order; None where too little of it lies in the mask."""

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.lesions)

    def rows(self) -> list[LesionRow]:
        """Return one dict per lesion, as `lesion_row` makes it.

        Returns
        -------
        list of dict
            Value by column, None where unknown.
        """
        return [lesion_row(lesion) for lesion in self.lesions]

    def evidence_rows(self) -> list[EvidenceRow]:
        """Return one dict per lesion: its evidence, and the probability of each kind.

        Returns
        -------
        list of dict
            Value by column of the evidence table, None where unknown.
        """
        classifier = read_classifier()
        return [
            evidence_row(lesion, evidence, classifier)
            for lesion, evidence in zip(self.lesions, self.evidence, strict=True)
        ]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per lesion, columns in their fixed order; unknown cells are missing values.
        """
        import pandas

        return pandas.DataFrame(self.rows(), columns=list(LESION_COLUMNS))
