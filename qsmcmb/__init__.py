"""qsmcmb: total magnetic susceptibility of cerebral microbleeds from gradient-echo phase.

Public names are loaded on first use, the version too: importing the package compiles nothing and reads nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__: str

_PUBLIC = {
    "Estimate": "qsmcmb.model",
    "GreScan": "qsmcmb.model",
    "Grid": "qsmcmb.model",
    "Microbleed": "qsmcmb.lesion",
    "Provenance": "qsmcmb.model",
    "QsmcmbError": "qsmcmb.errors",
    "InvalidInputError": "qsmcmb.errors",
    "ConfigError": "qsmcmb.errors",
    "load_scan": "qsmcmb.pipeline.load",
    "load_files": "qsmcmb.io.plain",
    "mask_brain": "qsmcmb.masking.brain",
    "unwrap": "qsmcmb.unwrapping.head",
    "map_field": "qsmcmb.field_mapping.head",
    "remove_background": "qsmcmb.background_removal.head",
    "invert": "qsmcmb.dipole_inversion.head",
    "map_r2star": "qsmcmb.relaxometry.r2star",
    "make_swi": "qsmcmb.susceptibility_weighting.swi",
    "forward_field": "qsmcmb.core.dipole",
    "list_sessions": "qsmcmb.io.bids_index",
    "MicrobleedTable": "qsmcmb.microbleeds.results.table",
    "quantify": "qsmcmb.pipeline.points",
    "run_scan": "qsmcmb.pipeline.subject",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        from qsmcmb.version import version

        value = version()
    elif name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    else:
        raise AttributeError(f"module 'qsmcmb' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
