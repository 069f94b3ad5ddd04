"""Names that are shown, JSON, and the encodings of text files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.text import encoding_of, json_text, one_line, shown


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "\x9b31m", "\r", "\u202e", "\u2066", "\x7f", "\udcff"]
)
def test_what_moves_a_terminal_becomes_an_escape(text):
    for escaped in (one_line(f"a{text}b"), shown(f"a{text}b")):
        assert escaped.isprintable()
        assert escaped.startswith("a\\")


def test_longer_texts_keep_their_lines():
    assert shown("a\tb\nc\x07") == "a\tb\nc\\x07"
    assert one_line("a\tb\nc") == "a\\tb\\nc"


def test_json_has_no_numbers_that_it_cannot_hold():
    value = {
        "nan": math.nan,
        "inside": [{"x": (math.inf, 1.5, np.float32("nan"))}],
        "array": np.array([[1.0, -math.inf]]),
        "count": np.int64(3),
        "path": Path("a"),
        "others": [True, None, 2**70, "ü\x7f\udcff"],
    }
    text = json_text(value)
    assert text.isascii()
    assert text.isprintable()

    def refuse(name):
        raise AssertionError(name)

    assert json.loads(text, parse_constant=refuse) == {
        "nan": None,
        "inside": [{"x": [None, 1.5, None]}],
        "array": [[1.0, None]],
        "count": 3,
        "path": "a",
        "others": [True, None, 2**70, "ü\x7f\udcff"],
    }


def test_json_of_something_else():
    with pytest.raises(TypeError, match="no set"):
        json_text({"a": {1}})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding):
    data = "file1,ü\n".encode(encoding)
    assert data.decode(encoding_of(data[:4])) == "file1,ü\n"
