"""Sphinx configuration. Tables of fields, noise sources and presets are drawn from the code."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import photonpu

project = "photonpu"
author = "The photonpu authors"
copyright = "The photonpu authors, Apache-2.0"
release = version = photonpu.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "generated",
]
exclude_patterns = ["_build", "_generated", "_ext"]
myst_enable_extensions = ["deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"photonpu {release}"
html_show_sourcelink = False
