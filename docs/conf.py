"""How the site is built: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from pygments.lexers.data import JsonLexer
from pygments.lexers.sql import PostgresLexer
from sphinx.highlighting import lexers

from engine_store import __version__
from engine_store_sqlite.driver import MEASURED_WORKFLOWS

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

lexers["jsonl"] = JsonLexer()
lexers["sql"] = PostgresLexer()  # unlike that of standard SQL it takes {schema}

project = "engine-store"
author = "The engine-store authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx calls it so
release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "clauses",
    "commands",
    "docstrings",
    "statements",
]
exclude_patterns = ["README.md", "measured/*.md", "site"]
nitpicky = True
# The standard library's own pages are elsewhere; nothing is fetched to link to them.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|concurrent|contextlib|datetime|enum|logging)\..*"),
    (r"py:.*", r"(os|pathlib|types|typing)\..*"),
    (r"py:.*", r"(pluggy|_pytest)\..*|Logger|.*\.Fields|.*\.(C|D|F|R|T|T_co|_C|_T)|.* \| .*"),
    (r"py:.*", r"Request|engine_store\.sql\.operations\..*"),
    (r"py:.*", r"engine_store\.waiting\.following\._.*"),
]
add_module_names = False
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

myst_enable_extensions = ["colon_fence", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {"sqlite_workflows": MEASURED_WORKFLOWS}

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "engine-store"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(HERE / "_static" / "scorer.js")
html_use_index = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
