"""Rows of arrays, and rows of bytes of any number, in an ``.npz``."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.media.arrays import ArrayKind, BytesKind, RowWriter, read_rows

KINDS = {"place": ArrayKind("<f4", (2,)), "text": BytesKind(40)}


def written(path, count: int):
    """A file of rows, of which the third has no bytes."""
    rng = np.random.default_rng(0)
    rows = [
        {"place": rng.random(2, np.float32), "text": rng.integers(0, 256, k % 41, np.uint8)}
        for k in range(count)
    ]
    with RowWriter(KINDS) as writer:
        for row in rows:
            writer.append(row)
        writer.write(path, {})
    return rows


@pytest.mark.parametrize("count", [1, 64, 150])
def test_rows_come_back_as_they_were(tmp_path, count):
    rows = written(tmp_path / "rows.npz", count)
    found = list(read_rows(tmp_path / "rows.npz", KINDS))
    assert len(found) == count
    for row, other in zip(rows, found, strict=True):
        for name, values in row.items():
            np.testing.assert_array_equal(other[name], values)
    with np.load(tmp_path / "rows.npz") as file:
        assert file["text_size"].tolist() == [k % 41 for k in range(count)]


def test_a_row_of_too_many_bytes_is_refused():
    with RowWriter(KINDS) as writer, pytest.raises(ValueError, match="text"):
        writer.append({"place": np.zeros(2, np.float32), "text": np.zeros(41, np.uint8)})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("text", lambda a: a[:-1]),
        ("text", lambda a: a[:, None]),
        ("text_size", lambda a: a[:-1]),
        ("text_size", lambda a: np.where(a == 5, -5, a)),
        ("text_size", lambda a: np.where(a == 5, 2**31 - 1, a)),
        ("text_size", lambda a: a.astype(np.int64)),
        ("text_size", lambda a: None),
    ],
)
def test_sizes_that_do_not_fit_are_an_error(tmp_path, name, change):
    written(tmp_path / "rows.npz", 70)
    with np.load(tmp_path / "rows.npz") as file:
        arrays = dict(file)
    arrays[name] = change(arrays[name])
    np.savez(tmp_path / "bad.npz", **{k: a for k, a in arrays.items() if a is not None})
    with pytest.raises(ValueError, match=r"text|one length"):
        list(read_rows(tmp_path / "bad.npz", KINDS))
