"""Sphinx configuration. Builds offline; nothing is fetched and, unless asked to, no notebook is executed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from autotrader_lab._version import __version__

project = "AutoTrader Lab"
author = "the AutoTrader Lab maintainers"
copyright = author
version = release = __version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "lab_directives"]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

# Executing the notebooks starts sandboxes and engine hosts and takes minutes: the tests do it, not every build.
nb_execution_mode = "force" if os.environ.get("AUTOTRADER_LAB_DOCS_EXECUTE") else "off"
nb_execution_timeout = 180
nb_execution_raise_on_error = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
# Docstrings name a class without its module; where two modules have one of that name the first is linked.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"AutoTrader Lab {__version__}"
html_copy_source = False
html_show_sourcelink = False
