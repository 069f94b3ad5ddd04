"""Sphinx: the guides in this folder, and a reference made from docstrings and from ``--help``."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx

import facecycle_cli
from facecycle_cli.cli.app import app as command_line

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "reference"
"""Folder of the pages that are made here; it is no part of the repository."""

COPIES = {
    ROOT / name: GENERATED / f"{Path(name).stem.lower()}.md"
    for name in (
        "MODEL_CARD.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "examples/CREDITS.md",
    )
}
"""Pages outside this folder, and where Sphinx finds their copies."""

project = "facecycle"
author = "The facecycle authors"
copyright = f"{author}, MIT license"  # noqa: A001 - Sphinx reads this name
version = release = facecycle_cli.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "images"]
myst_heading_anchors = 3

autodoc_class_signature = "separated"
# What a package only passes on is documented where it is defined.
autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"facecycle {release}"
html_copy_source = False


def library_page() -> str:
    """Return the names of ``facecycle_cli``, each with the first lines of its docstring."""
    lines = ["# The library", "", "`import facecycle_cli as fc` offers these names.", ""]
    for name in facecycle_cli.__all__:
        value = getattr(facecycle_cli, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            target = f"{value.__module__}.{value.__qualname__}"
            summary = (inspect.getdoc(value) or "").partition("\n\n")[0]
        else:
            kind = type(value)
            target = f"{kind.__module__}.{name}"
            summary = f"A :class:`~{kind.__module__}.{kind.__qualname__}`."
        lines += [f"## fc.{name}", "", f"{{py:obj}}`{target}`", ""]
        lines += ["```{eval-rst}", summary, "```", ""]
    return "\n".join(lines)


def commands_page() -> str:
    """Return the text of ``facecycle --help`` and of the help of every command."""
    lines = ["# The command line", ""]

    def add(command: Any, name: str, parent: Any) -> None:
        context = command.make_context(
            name, [], parent=parent, resilient_parsing=True, terminal_width=80
        )
        lines.extend([f"## {context.command_path}", ""])
        lines.extend(["```text", command.get_help(context), "```", ""])
        # A group of commands; typer has a click of its own, whose classes have other names.
        if hasattr(command, "resolve_command"):
            for child in command.list_commands(context):
                add(command.resolve_command(context, [child])[1], child, context)

    add(typer.main.get_command(command_line), "facecycle", None)
    return "\n".join(lines)


def module_pages() -> dict[str, str]:
    """Return a page for each package: its modules, with all in them that has a docstring.

    The package ``cli`` is left out: its reference is the text of ``--help``.
    """
    pages: dict[str, list[str]] = {}
    for module in pkgutil.walk_packages(facecycle_cli.__path__, "facecycle_cli."):
        parts = module.name.split(".")
        if parts[1] in ("__main__", "cli"):
            continue
        page = ".".join(parts if module.ispkg else parts[:-1])
        if page not in pages:
            documented = importlib.import_module(page).__doc__ or ""
            title = page.removeprefix("facecycle_cli.")
            if page == "facecycle_cli":
                title = "errors, system, types"
            pages[page] = [f"# {title}", ""]
            if page != "facecycle_cli" and documented:
                pages[page] += ["```{eval-rst}", f".. automodule:: {page}", "```", ""]
        if not module.ispkg:
            pages[page] += [f"## {parts[-1]}", ""]
            pages[page] += ["```{eval-rst}", f".. automodule:: {module.name}", "```", ""]
    return {page: "\n".join(lines) for page, lines in pages.items()}


def relink(text: str, old: Path, new: Path) -> str:
    """Return the Markdown ``text`` of the file ``old`` with links that hold in the file ``new``."""

    def moved(link: re.Match[str]) -> str:
        target, anchor = link["target"], link["anchor"] or ""
        if not target or re.match(r"[a-z]+:", target):
            return link[0]
        file = (old.parent / target).resolve()
        return f"]({os.path.relpath(COPIES.get(file, file), new.parent)}{anchor})"

    return re.sub(r"\]\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)", moved, text)


def write_pages(sphinx: Sphinx) -> None:
    """Write all generated pages, before Sphinx looks for pages."""
    GENERATED.mkdir(exist_ok=True)
    for old in GENERATED.glob("*.md"):
        old.unlink()
    pages = {"library": library_page(), "commands": commands_page(), **module_pages()}
    for name, text in pages.items():
        (GENERATED / f"{name}.md").write_text(text, encoding="utf-8")
    for source, copy in COPIES.items():
        text = relink(source.read_text(encoding="utf-8"), source, copy)
        copy.write_text(text, encoding="utf-8")


def relink_guide(sphinx: Sphinx, name: str, source: list[str]) -> None:
    """Let a guide's links to pages outside this folder lead to their copies."""
    page = DOCS / f"{name}.md"
    if page.parent == DOCS:
        source[0] = relink(source[0], page, page)


def skip_field(sphinx: Sphinx, kind: str, name: str, value: object, skip: bool, *_: object) -> bool:
    """Leave out the fields of named tuples, which their class's docstring describes."""
    return skip or (inspect.getdoc(value) or "").startswith("Alias for field number")


def keep_prose(
    sphinx: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Keep Napoleon from taking what an attribute's docstring says before a colon for its type."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def setup(sphinx: Sphinx) -> None:
    """Register the functions above."""
    sphinx.connect("builder-inited", write_pages)
    sphinx.connect("source-read", relink_guide)
    sphinx.connect("autodoc-skip-member", skip_field)
    sphinx.connect("autodoc-process-docstring", keep_prose, priority=400)  # before Napoleon
