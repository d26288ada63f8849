"""Protocols of conventional imaging: T2*-weighted gradient echo, susceptibility-weighted images, their projection.

The defaults stand for what published counts were read on: thick slices at 1.5 T (Nandigam et al. 2009), slices of 4 mm
at 3 T as trials of treatments use them (Cogswell et al. 2022), and a susceptibility-weighted scan at 3 T (Haacke et al.
2009). The SNRs are assumptions, not measurements: 13 in 1 mm3 at 1.5 T and TE 25 ms, twice that at 3 T, rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from qsmcmb.errors import ConfigError

__all__ = ("DEFAULT_PROTOCOLS", "SEQUENCES", "ConventionalProtocol", "read_protocols")

SEQUENCES = ("gre", "swi", "swi-projection")
"""Images that are read: magnitude of a gradient echo, susceptibility-weighted image, its minimum-intensity
projection."""
RANGES = {
    "b0_tesla": (0.1, 15.0),
    "te_s": (0.001, 0.1),
    "in_plane_mm": (0.2, 4.0),
    "slice_mm": (0.3, 10.0),
    "slice_gap_mm": (0.0, 10.0),
    "snr": (1.0, 1000.0),
}
"""Smallest and largest value of each number of a protocol."""


@dataclass(frozen=True, kw_only=True)
class ConventionalProtocol:
    """Protocol of a conventional scan.

    Parameters
    ----------
    name : str
        Name in the burden's JSON.
    sequence : {"gre", "swi", "swi-projection"}
        Image that is read.
    b0_tesla : float
        Field strength, T, 0.1 to 15.
    te_s : float
        Echo time, s, 0.001 to 0.1.
    in_plane_mm : float
        Edge of the acquired voxel within the slice, mm, 0.2 to 4.
    slice_mm : float
        Thickness of the slice, mm, 0.3 to 10.
    snr : float
        SNR of the tissue's magnitude in an acquired voxel at this echo time, 1 to 1000.
    slice_gap_mm : float, optional
        Gap between slices, mm, 0 to 10; for two-dimensional scans alone.
    two_d : bool, optional
        Whether slices are excited one by one; k-space is sampled along all axes otherwise.

    Examples
    --------
    >>> DEFAULT_PROTOCOLS[0]["slice_mm"]
    5.0
    """

    name: str
    sequence: str
    b0_tesla: float
    te_s: float
    in_plane_mm: float
    slice_mm: float
    snr: float
    slice_gap_mm: float = 0.0
    two_d: bool = False

    @property
    def spacing_mm(self) -> float:
        """Distance of the slices' middles, mm."""
        return self.slice_mm + self.slice_gap_mm


_SWI = ConventionalProtocol(
    name="3 T SWI", sequence="swi", b0_tesla=3.0, te_s=0.02, in_plane_mm=0.9, slice_mm=2.0, snr=40.0
)
DEFAULT_PROTOCOLS: tuple[dict[str, Any], ...] = tuple(
    asdict(protocol)
    for protocol in (
        ConventionalProtocol(
            name="1.5 T T2*-weighted", sequence="gre", b0_tesla=1.5, te_s=0.025, in_plane_mm=1.0, slice_mm=5.0,
            two_d=True, snr=60.0,
        ),
        ConventionalProtocol(
            name="3 T T2*-weighted", sequence="gre", b0_tesla=3.0, te_s=0.02, in_plane_mm=1.0, slice_mm=4.0,
            two_d=True, snr=100.0,
        ),
        _SWI,
        ConventionalProtocol(**{**asdict(_SWI), "name": "3 T SWI, projection", "sequence": "swi-projection"}),
    )
)  # fmt: skip
"""Protocols that the burden's JSON answers for by default, as tables of the configuration."""


def read_protocols(tables: Sequence[Mapping[str, Any]]) -> tuple[ConventionalProtocol, ...]:
    """Return protocols from tables of the configuration.

    Parameters
    ----------
    tables : sequence of mapping
        Fields of `ConventionalProtocol`, one table for each protocol.

    Returns
    -------
    tuple of ConventionalProtocol
        The protocols.

    Raises
    ------
    ConfigError
        An unknown or missing key, an unknown sequence, a number out of its range, a name that stands twice.

    References
    ----------
    Nandigam RNK, Viswanathan A, Delgado P, et al. MR imaging detection of cerebral microbleeds: effect of
    susceptibility-weighted imaging, section thickness, and field strength. AJNR Am J Neuroradiol 2009;30:338-343.
    doi:10.3174/ajnr.A1355

    Cogswell PM, Barakos JA, Barkhof F, et al. Amyloid-related imaging abnormalities with emerging Alzheimer disease
    therapeutics: detection and reporting recommendations for clinical practice. AJNR Am J Neuroradiol 2022;43:E19-E35.
    doi:10.3174/ajnr.A7586

    Haacke EM, Mittal S, Wu Z, Neelavalli J, Cheng YCN. Susceptibility-weighted imaging: technical aspects and clinical
    applications, part 1. AJNR Am J Neuroradiol 2009;30:19-30. doi:10.3174/ajnr.A1400

    Examples
    --------
    >>> [protocol.name for protocol in read_protocols(DEFAULT_PROTOCOLS)][0]
    '1.5 T T2*-weighted'
    """
    known = [f.name for f in fields(ConventionalProtocol)]
    protocols = []
    for number, table in enumerate(tables, 1):
        unknown = sorted(set(table) - set(known))
        if unknown:
            raise ConfigError(
                f"protocol {number} has no key {unknown[0]!r}; its keys are: {', '.join(known)}"
            )
        try:
            protocol = ConventionalProtocol(**table)
        except TypeError as error:
            raise ConfigError(f"protocol {number}: {error}; its keys are: {', '.join(known)}") from error
        _check(number, protocol)
        protocols.append(protocol)
    names = [protocol.name for protocol in protocols]
    if len(set(names)) < len(names):
        raise ConfigError(f"protocols have the names {', '.join(map(repr, names))}; expected each name once")
    return tuple(protocols)


def _check(number: int, protocol: ConventionalProtocol) -> None:
    """Raise unless all values of a protocol are within their ranges."""
    if protocol.sequence not in SEQUENCES:
        raise ConfigError(
            f"protocol {number}: sequence = {protocol.sequence!r}; expected one of: {', '.join(SEQUENCES)}"
        )
    for name, (low, high) in RANGES.items():
        value = getattr(protocol, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ConfigError(f"protocol {number}: {name} = {value!r}; expected {low:g} to {high:g}")
    if protocol.slice_gap_mm and not protocol.two_d:
        raise ConfigError(
            f"protocol {number}: slice_gap_mm = {protocol.slice_gap_mm:g} with two_d = false; expected 0"
        )
