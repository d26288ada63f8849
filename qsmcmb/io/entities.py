"""Entities of BIDS names: indices are numbers, labels are exact, and labels sort as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = (
    "agreement",
    "entity_values",
    "matches",
    "natural_key",
    "output_entities",
    "same_value",
    "scan_name",
)

INDICES = ("run", "echo", "flip", "inv", "split", "chunk")
"""Entities whose values are numbers: run-01 is run-1."""
CHANNELS = ("coil", "channel", "ch", "rx")
"""Names that exports give to the receive channel; BIDS has no entity for it."""
LONG_NAMES = {
    "subject": "sub", "session": "ses", "acquisition": "acq", "ceagent": "ce", "reconstruction": "rec",
    "direction": "dir", "inversion": "inv", "extension": "ext",
}  # fmt: skip
"""Names that filter files of other BIDS apps use for an entity."""
OUTPUT = ("task", "acq", "ce", "rec", "run", "chunk")
"""Entities that a map's name may hold, in BIDS' order."""
OF_IMAGE = ("sub", "ses", "echo", "part", "suffix", "ext", "datatype")
"""What is in a name without telling one scan of a session from another."""


def scan_name(participant: str, session: str | None, entities: Mapping[str, str]) -> str:
    """Return the name of a scan in messages.

    Parameters
    ----------
    participant : str
        Label without `sub-`.
    session : str or None
        Label without `ses-`; None or empty without sessions.
    entities : mapping of str to str
        What tells it from other scans of the session.

    Returns
    -------
    str
        Participant, session and entities, as far as there are any.

    Examples
    --------
    >>> scan_name("01", "1", {"acq": "qsm"}), scan_name("01", None, {})
    ('sub-01/ses-1/acq-qsm', 'sub-01')
    """
    scan = "_".join(f"{name}-{value}" for name, value in entities.items())
    return "/".join(
        part for part in (f"sub-{participant}", f"ses-{session}" if session else "", scan) if part
    )


def natural_key(label: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts labels as people read them: numbers by value.

    Parameters
    ----------
    label : str
        Label such as ``"2"`` or ``"month12"``.

    Returns
    -------
    tuple
        To be compared with other keys.

    Examples
    --------
    >>> sorted(["10", "2", "02", "pre"], key=natural_key)
    ['02', '2', '10', 'pre']
    """
    pieces = re.findall(r"\d+|\D+", label)
    return (*((int(p), "") if p.isdecimal() else (1 << 62, p) for p in pieces), (-1, label))


def same_value(name: str, one: str | None, two: str | None) -> bool:
    """Say whether two values of an entity are one: indices as numbers, labels exactly.

    Parameters
    ----------
    name : str
        Entity, e.g. ``"run"``.
    one, two : str or None
        Values; None where a name lacks the entity.

    Returns
    -------
    bool
        Whether they are the same.

    Examples
    --------
    >>> same_value("run", "01", "1"), same_value("rec", "adapt", "adaptSoS"), same_value("acq", "01", "1")
    (True, False, False)
    """
    return _normal(name, one) == _normal(name, two)


def _normal(name: str, value: str | None) -> str | None:
    """Return a value without the leading zeros of an index."""
    if value is None or not (name in INDICES or name in CHANNELS) or not value.isdecimal():
        return value
    return str(int(value))


def matches(entities: Mapping[str, str], filters: Mapping[str, str]) -> bool:
    """Say whether a name has all values of a filter.

    Parameters
    ----------
    entities : mapping
        Entity to value, of a name.
    filters : mapping
        Entity, by its short or long name, to the value that it must have; "" where a name must lack it.

    Returns
    -------
    bool
        Whether all of them match.

    Examples
    --------
    >>> matches({"acq": "qsm", "run": "01"}, {"acquisition": "qsm", "run": "1"})
    True
    """
    short = {LONG_NAMES.get(name, name): value for name, value in filters.items()}
    return all(same_value(name, entities.get(name), value or None) for name, value in short.items())


def channel_of(entities: Mapping[str, str]) -> str | None:
    """Return the number or the element's name of a receive channel; a coil's type (coil-32ch) is none."""
    values = [entities[name] for name in CHANNELS if name in entities]
    return next((v for v in values if re.fullmatch(r"[A-Za-z]*\d+", v)), None)


def echo_label(acq: str) -> tuple[str, int] | None:
    """Return what a label says before the number of an echo, and that number: acq-qsmE2; None where it names none."""
    found = re.fullmatch(r"(.*?)(?:[eE]cho|(?:^|(?<=[a-z0-9])(?=[ET]))(?:e|E|te|TE|Te))(\d+)", acq)
    return (found[1], int(found[2])) if found else None


def scan_key(entities: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what images of one scan share: every entity but echo, part and channel."""
    left_out = (*OF_IMAGE, *(CHANNELS if channel_of(entities) else ()))
    values = {name: _normal(name, value) or "" for name, value in entities.items() if name not in left_out}
    return tuple(sorted(values.items()))


def agreement(name: str, entities: Mapping[str, str]) -> int | None:
    """Return how many of a scan's entities a file of derivatives has in its name; None where it has others.

    Parameters
    ----------
    name : str
        Name of the file, e.g. a mask's.
    entities : mapping
        Entities that tell the scan from others of its session.

    Returns
    -------
    int or None
        Number of entities that agree. A name may lack some: then the file is for several scans.

    Examples
    --------
    >>> [agreement(f"sub-01_{of}mask.nii.gz", {"acq": "qsm"}) for of in ("acq-qsm_", "", "acq-swi_")]
    [1, 0, None]
    """
    pairs = [token.partition("-") for token in name.split("_")]
    stated = {key: value for key, dash, value in pairs if dash and key in OUTPUT}
    if any(not same_value(key, entities.get(key), value) for key, value in stated.items()):
        return None
    return len(stated)


def output_entities(entities: Mapping[str, str], suffix: str = "") -> dict[str, str]:
    """Return the entities that the results of a scan carry in their names.

    Parameters
    ----------
    entities : mapping
        Entity to value, of one of the scan's images.
    suffix : str, optional
        Suffix of the images where a participant has scans that differ in nothing else.

    Returns
    -------
    dict
        Entities in BIDS' order; what a map's name may not hold becomes part of `acq`.

    Examples
    --------
    >>> output_entities({"sub": "01", "acq": "qsm", "run": "01", "flip": "2", "echo": "1"})
    {'acq': 'qsmFlip2', 'run': '01'}
    >>> output_entities({"sub": "01", "echo": "1"}, suffix="T2starw")
    {'acq': 'T2starw'}
    """
    named = {name for name, _ in scan_key(entities)}
    rest = [name.capitalize() + entities[name] for name in sorted(named - set(OUTPUT))]
    words = [entities.get("acq", ""), *rest, suffix]
    acq = "".join(words) if words[0] or not rest else "".join(words)[0].lower() + "".join(words)[1:]
    held = {name: entities[name] for name in OUTPUT if name in entities}
    if acq:
        held["acq"] = acq
    return {name: held[name] for name in OUTPUT if name in held}


def entity_values(images: Iterable[Mapping[str, str]]) -> str:
    """Return the entities of some names with their values, for a message.

    Parameters
    ----------
    images : iterable of mapping
        Entity to value, of each name.

    Returns
    -------
    str
        Entities by name, values in natural order.

    Examples
    --------
    >>> entity_values([{"sub": "01", "run": "10", "suffix": "MEGRE"}, {"sub": "01", "run": "2", "suffix": "MEGRE"}])
    'run 2, 10; suffix MEGRE'
    """
    values: dict[str, set[str]] = {}
    for entities in images:
        for name in entities.keys() - {"sub", "ses", "ext", "datatype"}:
            values.setdefault(name, set()).add(entities[name])
    order = sorted(values, key=lambda name: (name == "suffix", name))
    return "; ".join(f"{name} {', '.join(sorted(values[name], key=natural_key))}" for name in order)
