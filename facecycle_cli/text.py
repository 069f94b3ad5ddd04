"""Text that comes from files or leaves the program: names that are shown, JSON, and encodings.

Names, labels and metadata are written by others. Shown as they are, they could move the cursor of a
terminal, color it, or turn the direction of a line. This module imports nothing heavy, so that
every floor may use it.
"""

from __future__ import annotations

import codecs
import json
import math
import os
from collections.abc import Mapping
from typing import Any

__all__ = ["encoding_of", "json_text", "one_line", "shown"]

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def one_line(text: str) -> str:
    """``text`` with everything that is not printable as an escape.

    These are line breaks, terminal sequences, marks of writing direction, and bytes of a file name
    that are no text.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def shown(text: str) -> str:
    """As :func:`one_line`, but line breaks and tabs stay: for tables and other longer texts."""
    return "".join(c if c in "\n\t" else one_line(c) for c in text)


def json_text(value: Any, *, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """``value`` as JSON that every reader takes.

    Numbers that are not finite have no form in JSON and become null. Paths become strings; numpy's
    arrays and numbers become lists and numbers.

    Args:
        value: mappings, sequences, and the values named above.
        indent: spaces of each level; None: everything in one line.
        ensure_ascii: escape all that is not ASCII.

    Raises:
        TypeError: there is something else in it.
    """
    text = json.dumps(_plain(value), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)
    return text.replace("\x7f", "\\u007f")  # the one control character that json leaves


def encoding_of(start: bytes) -> str:
    """The encoding of a text file by its first four bytes: UTF-8 without a byte order mark."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    return "utf-8-sig"


def _plain(value: Any) -> Any:
    """``value`` in types that the module ``json`` knows, without numbers that are not finite."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return _plain(value.tolist())
    raise TypeError(f"JSON holds no {type(value).__name__}")
