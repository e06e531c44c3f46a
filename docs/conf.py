"""The book: the solved lessons with their stored outputs, the guides and the reference. `make book` builds it.

Built from the repository's root (``sphinx-build -c docs . docs/_build/html``), so that a relative link leads to the
same page on GitHub and in the book. Neither the build nor any page needs a network: MathJax is copied in, nothing is
executed.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))  # the reference is of this checkout

import edgeseg  # noqa: E402

project = "edgeseg"
author = "The edgeseg authors"
release = version = edgeseg.__version__
language = "en"

# Pages
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "course/README.md",
    "course/teaching.md",
    "course/solutions/*.ipynb",
    "docs/*.md",
    "docs/api/*.rst",
    "docs/models/*.md",
]
exclude_patterns = [".*", "docs/_build", "edgeseg", "env*", "venv*", "runs", "data", "exports", "build", "dist"]
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
]
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3  # as GitHub does

# Notebooks: outputs as they are stored; widgets would need a kernel
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_code_prompt_show = "Show a solution"
nb_code_prompt_hide = "Hide the solution"

# Reference: a page a module, generated from the modules that there are
autosummary_generate = True
for page in (HOME / "docs" / "api").glob("*.rst"):  # an earlier build's page of a module that is gone would not import
    module = HOME / page.stem.replace(".", "/")
    if not (module.is_dir() or module.with_suffix(".py").exists()):
        page.unlink()
viewcode_follow_imported_members = False  # a page shows what its module defines; int is not of the project
templates_path = ["docs/_templates"]
default_role = "py:obj"  # a name in `single backticks` becomes a link where the reference has it
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # a block's forward has nothing to say that nn.Module's docstring says
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
# "Returns" as prose: what stands before a colon there is no type
napoleon_custom_sections = [("Shape", "notes_style"), ("Returns", "notes_style"), ("Options", "params_style")]

# Look
html_theme = "sphinx_book_theme"
html_title = "edgeseg"
html_static_path = ["_static"]
html_css_files = ["book.css"]
PAGE = HOME / "docs" / "_build" / "page"  # holds try/, the page of web.md, after `make book-page`
html_extra_path = ["_extra", *(["_build/page"] if PAGE.is_dir() else [])]  # index.html, which leads to the first page
html_theme_options = {
    "navbar_persistent": [],  # the sidebar has a search field
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
}


_TRY = '<a href="../try/index.html">Open the page</a>: a rendered ride, your pictures, your camera.'
_OPEN_LESSON = re.compile(r"\]\((?!\S*solutions/)(\S+\.ipynb)\)")


def adapt_page(app: Any, page: str, source: list[str]) -> None:
    """What a page of the repository needs to be a page of the book."""
    if page.startswith("course/solutions/"):
        source[0] = fold_solutions(source[0])
    elif page == "docs/web" and PAGE.is_dir():
        source[0] = source[0].replace("\n\n", f"\n\n{_TRY}\n\n", 1)
    else:  # lessons with open exercises are files to work in
        source[0] = _OPEN_LESSON.sub(r"](path:\1)", source[0])


def fold_solutions(notebook: str) -> str:
    """Solved exercise cells are folded: a reader may think first."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "exercise" in tags:
            cell["metadata"]["tags"] = [*tags, "hide-input"]
    return json.dumps(content)


def part_plurals(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """`Name`s: reStructuredText wants a mark between a name in backticks and the letter after it."""
    lines[:] = [re.sub(r"`(\w+)`s\b", r"`\1`\\ s", line) for line in lines]


def plain_defaults(app: Any, what: str, name: str, thing: Any, options: Any, signature: str, returns: str) -> Any:
    """A dataclass's fresh value is shown as an ellipsis: with "<factory>" Sphinx cannot read the signature."""
    return signature and signature.replace("<factory>", "..."), returns


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", part_plurals)
    app.connect("autodoc-process-signature", plain_defaults)
    app.connect("source-read", adapt_page)
