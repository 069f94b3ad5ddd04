"""Variables of Matlab's files: sound ones, damaged ones, and those that would fill the memory."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.mat_files import read_mat_variable

savemat = pytest.importorskip("scipy.io").savemat

POSE = np.array([[0.1, 0.2, 0.3, 0, 0, 0, 1]])
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM"


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
    length = len(data) if size is None else size
    return struct.pack("<II", kind, length) + data + bytes(-len(data) % 8)


def matrix(shape: tuple[int, int], data: bytes = b"", size: int | None = None) -> bytes:
    """A variable ``Pose_Para`` of double numbers that says that it has ``size`` bytes of them."""
    content = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<ii", *shape))
    content += element(1, b"Pose_Para") + element(9, data, size)
    return element(14, content, len(content) if size is None else len(content) + size)


def packed(data: bytes, zeros: int = 0) -> bytes:
    packer = zlib.compressobj(9)
    parts = [packer.compress(data), *(packer.compress(bytes(1 << 20)) for _ in range(zeros))]
    data = b"".join(parts) + packer.flush()
    return struct.pack("<II", 15, len(data)) + data  # which has no bytes between it and the next


@pytest.mark.parametrize("form", ["5", "4"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_variable_among_others(tmp_path, form, compressed):
    path = tmp_path / "a.mat"
    more = {"before": np.zeros((300, 300)), "text": "words", "after": np.ones(3)}
    savemat(path, {**more, "Pose_Para": POSE}, format=form, do_compression=compressed)
    assert read_mat_variable(path, "Pose_Para").tolist() == POSE[0].tolist()
    assert read_mat_variable(path, "Shape_Para") is None


def test_whole_numbers(tmp_path):
    savemat(tmp_path / "a.mat", {"Pose_Para": np.array([[1, 2, 3]], np.int16)})
    assert read_mat_variable(tmp_path / "a.mat", "Pose_Para").tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"\x80\x04\x95cposix\nsystem\n", "damaged, or not a .mat file"),
        (bytes(range(256)) * 2, "damaged, or not a .mat file"),
        (HEADER[:-2] + b"??" + bytes(2 << 20), "not a .mat file of version 5 to 7.2"),
        (HEADER + packed(matrix((1, 7), POSE.tobytes()))[:60], "it ends too early"),
        (HEADER + element(15, b"no zlib at all"), r"damaged .mat file \(Error"),
        (HEADER + element(15, zlib.compress(matrix((1, 7), POSE.tobytes()))[:40]), "cut off"),
        (HEADER + matrix((1, 7), POSE.tobytes()[:16]), "damaged"),
        (HEADER + packed(matrix((60000, 60000))), "60000x60000 double, not a few numbers"),
        (HEADER + packed(matrix((1, 7), b"", 1 << 30), 30), "Pose_Para is too large"),
        (HEADER + matrix((1, 7), bytes(1 << 20)), "Pose_Para is too large"),
        (HEADER + element(15, zlib.compress(b"")) * 2000, "more than 1000 variables"),
        (
            b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM\x89HDF\r\n\x1a\n" + bytes(400),
            "damaged",
        ),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, words):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_mat_variable(path, "Pose_Para")


@pytest.mark.parametrize("value", [{"a": 1}, "text", np.array([[1, "x"]], object), 1j])
def test_a_variable_of_another_kind(tmp_path, value):
    savemat(tmp_path / "a.mat", {"Pose_Para": value})
    with pytest.raises(DataError, match=r"not a few numbers|complex"):
        read_mat_variable(tmp_path / "a.mat", "Pose_Para")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.mat")
    with pytest.raises(DataError, match="not a regular file"):
        read_mat_variable(Path(tmp_path / "a.mat"), "Pose_Para")
