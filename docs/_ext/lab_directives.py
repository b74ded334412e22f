"""The ``generated`` directive: puts what :mod:`lab_facts` reads from the package into a page.

Also brings the notebooks, which live outside ``docs``, to where Sphinx can read them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

import lab_facts
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["Generated", "setup"]

NOTEBOOKS = "tutorials"


class Generated(SphinxDirective):
    """``{generated} name``: the Markdown that the generator of that name returns."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        try:
            text = lab_facts.generate(self.arguments[0])
        except KeyError as error:
            raise self.error(str(error)) from error
        if text.startswith("<svg"):
            return [nodes.raw("", text, format="html")]
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def copy_notebooks(app: Sphinx) -> None:
    """Bring the notebooks into the source folder; old copies go."""
    target = Path(app.srcdir) / NOTEBOOKS
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for notebook in sorted((Path(app.srcdir).parent / "notebooks").glob("*.ipynb")):
        shutil.copy(notebook, target / notebook.name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("generated", Generated)
    app.connect("builder-inited", copy_notebooks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
