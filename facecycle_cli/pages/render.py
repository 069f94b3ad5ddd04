"""Pages as HTML: one file each, which holds all that it shows and may ask no network for anything.

The templates beside this module are jinja2's, and everything that is put into them is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from facecycle_cli import __version__
from facecycle_cli.pages.blocks import Block, Page, Paragraph, Table
from facecycle_cli.pages.glossary import TERMS
from facecycle_cli.system import atomic_path
from facecycle_cli.text import one_line

__all__ = ["INDEX", "asset", "content_policy", "template", "write_index"]

INDEX = "index.html"
"""The page of a report folder."""

_NUMBER = re.compile(r"[<>≤≥]?\s*[-+−]?(\d|n/a|nan|yes|no\b)", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\s*\(.*?\)|,.*")
_LEVELS = 10
"""Shades of a confusion matrix."""


def write_index(folder: Path, page: Page) -> Path:
    """Write ``index.html`` into the folder of a report.

    Args:
        folder: is created.
        page: what it shows.

    Returns:
        The file.
    """
    path = folder / INDEX
    text = template("report.html").render(page=page, terms=_terms_of(page))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def asset(name: str) -> Markup:
    """A style sheet or a script of this package, as it stands in a page."""
    return Markup(_asset(name))


def content_policy(*assets: str, **more: str) -> str:
    """The Content-Security-Policy of a page: nothing but what is inside it.

    Args:
        assets: names of its style sheets and scripts: nothing else is applied or run.
        more: sources of further directives, such as ``connect_src``.
    """
    rules = {"default-src": "'none'", "img-src": "data:", "media-src": "data:"}
    for suffix, directive in ((".css", "style-src"), (".js", "script-src")):
        hashes = [_hash(_asset(name)) for name in assets if name.endswith(suffix)]
        rules[directive] = " ".join(hashes) or "'none'"
    rules |= {"base-uri": "'none'", "form-action": "'none'"}
    rules |= {name.replace("_", "-"): value for name, value in more.items()}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


@cache
def template(name: str) -> jinja2.Template:
    """A template of this package."""
    loader = jinja2.PackageLoader("facecycle_cli.pages")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.globals |= {"asset": asset, "content_policy": content_policy}
    environment.globals |= {"version": __version__, "levels": _LEVELS}
    environment.filters |= {"numeric": _numeric_columns, "term": _anchor_of}
    return environment.get_template(name)


def _printable(value: Any) -> Any:
    """Names hold what no browser should see: control characters, and bytes that are no text."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _numeric_columns(table: Table) -> set[int]:
    """The columns of a table that hold numbers, which are aligned to the right."""
    numeric = set()
    for column in range(1, max(map(len, table.rows), default=0)):
        cells = [row[column] for row in table.rows[1:] if column < len(row) and row[column]]
        if all(_NUMBER.match(cell.strip()) or cell.startswith("±") for cell in cells):
            numeric.add(column)
    return numeric


# -- the glossary of a page -----------------------------------------------------------------------


def _plain(name: str) -> str:
    """The name of a number without its unit and its count: ``AKD, % (mesh)`` -> ``akd``."""
    return _IN_BRACKETS.sub("", name).strip().replace("_", " ").lower()


def _terms_of(page: Page) -> Mapping[str, str]:
    """The definitions of the numbers that the page's tables name."""
    known = {_plain(name): (name, text) for name, text in {**TERMS, **page.terms}.items() if text}
    used: dict[str, str] = {}
    blocks: list[Block] = [*page.summary, *(b for s in page.sections for b in s.blocks)]
    for block in blocks:
        if isinstance(block, Table) and block.rows:
            for cell in [*block.rows[0], *(row[0] for row in block.rows if row)]:
                if found := known.get(_plain(cell)):
                    used.setdefault(*found)
        elif isinstance(block, Paragraph):
            continue
    return used


def _anchor_of(name: str) -> str:
    return re.sub(r"\W+", "-", _plain(name)).strip("-")
