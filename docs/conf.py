"""Sphinx configuration: `make docs` builds the site, warnings being errors."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from qsmcmb.version import version as _version  # noqa: E402

project = "qsmcmb"
author = "The qsmcmb developers"
copyright = "the qsmcmb developers, BSD-3-Clause"
version = release = _version()

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "_extensions.generated_pages",
    "_extensions.mathml",
    "_extensions.outside_links",
]
exclude_patterns = ["_*", "**/_*"]
nitpicky = True
default_role = "code"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4

autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = "qsmcmb"
html_static_path = ["_static"]
html_css_files = ["qsmcmb.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
