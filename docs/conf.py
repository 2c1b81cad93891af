"""Configuration of the documentation: python -m sphinx -W docs docs/_build."""

from __future__ import annotations

import os

# Whoever builds without a network leaves this unset; nothing of the build depends on it.
ONLINE = os.environ.get("PYXEM_CNN_DOCS_ONLINE", "") not in ("", "0")

import pyxem_cnn  # noqa: E402

project = "pyxem_cnn"
author = "The pyxem_cnn developers"
copyright = author  # noqa: A001
release = pyxem_cnn.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_templates", "**.ipynb_checkpoints"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

_INVENTORIES = {
    "dask": ("https://docs.dask.org/en/stable", None),
    "diffsims": ("https://diffsims.readthedocs.io/en/stable", None),
    "hyperspy": ("https://hyperspy.org/hyperspy-doc/current", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "orix": ("https://orix.readthedocs.io/en/stable", None),
    "python": ("https://docs.python.org/3", None),
    "pyxem": ("https://pyxem.readthedocs.io/en/stable", None),
    "torch": ("https://docs.pytorch.org/docs/stable", None),
}
intersphinx_mapping = _INVENTORIES if ONLINE else {}

# References to our public names must resolve. Those to other projects can only be checked with
# their inventories, and those to modules and names inside a module have no page.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"pyxem_cnn\._?[a-z].*\..*"),
    (r"py:.*", r"[^.]+"),
    (r"py:.*", r"(dask|diffsims|hyperspy|lightning|np|numpy|orix|pyxem|timm|torch)(\..*)?"),
    (r"py:.*", r"(os|pathlib|typing|collections|builtins)(\..*)?"),
]

html_theme = "pydata_sphinx_theme"
html_title = "pyxem_cnn"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
