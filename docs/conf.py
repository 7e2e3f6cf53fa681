"""How the documentation is built: `make docs` writes it to `build/site`, strictly and without a network.

Sphinx reads the pages (Markdown, by MyST) and the docstrings. Formulas become MathML while the pages are built, which every
browser draws without a script; the theme loads no font and no script from elsewhere.
"""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import latentry

project = "Latentry"
author = copyright = "The Latentry authors"
release = version = latentry.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns: list[str] = []
default_role = "literal"
nitpicky = False

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = f"Latentry {release}"
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
pygments_style = "friendly"
pygments_dark_style = "monokai"


def formula(translator: Any, node: nodes.math | nodes.math_block, display: str) -> None:
    """Write the MathML of a formula."""
    mathml = convert(node.astext(), display=display)
    translator.body.append(mathml if display == "inline" else f'<div class="math">{mathml}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Draw formulas as MathML."""
    app.add_html_math_renderer(
        "mathml",
        (lambda translator, node: formula(translator, node, "inline"), None),
        (lambda translator, node: formula(translator, node, "block"), None),
    )
