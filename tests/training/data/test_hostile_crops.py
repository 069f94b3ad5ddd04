"""Crops, indexes and shards that somebody made who means no good."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile

import numpy as np
import pytest

from facecycle_cli.errors import DataError, MediaError
from facecycle_cli.media.shards import MAX_CROP_BYTES
from facecycle_cli.training.data.discover import Quality, find_crops
from facecycle_cli.training.data.index import CropIndex
from tests.training.conftest import crop_line, touch


def refused(path):
    with pytest.raises(DataError) as error:
        find_crops([path])
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


GOOD = crop_line("a/0.jpg").encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (crop_line("../elsewhere/1.jpg"), "leads out of the folder"),
        (crop_line("a/../../elsewhere/1.jpg"), "leads out of the folder"),
        (crop_line("/dev/zero"), "leads out of the folder"),
        (crop_line(""), "names no file"),
        (crop_line("a/"), "names no file"),
        (crop_line("a/\0.jpg"), "is the name of no file"),
        (crop_line(7), "must be the name of a file, not 7"),
        (json.dumps({"path": "a/1.jpg", "note": "x" * 10_000_000}) + "\n", "longer than"),
        ('{"path": ' + "[" * 50_000 + "\n", "nested too deeply"),
        ('{"path": "a/1.jpg", "yaw": NaN}\n', "NaN is no number of JSON"),
        (crop_line("a/1.jpg").replace("100.0", "1e999"), "sharpness must be a number, not inf"),
        (crop_line("a/1.jpg", yaw="left"), "yaw must be a number, not 'left'"),
        (b'{"path": "a/\xff.jpg"}\n', "not UTF-8"),
        (b"\0" * 30 + b'"path"\n', "not JSON"),
        ('["path"]\n', "not a JSON object"),
    ],
)
def test_a_line_of_the_index_that_is_wrong_is_named_by_its_number(tmp_path, line, reason):
    line = line if isinstance(line, bytes) else line.encode()
    (tmp_path / "index.jsonl").write_bytes(GOOD + line + GOOD)
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / 'index.jsonl'}: line 2: ")
    assert reason in message


def test_a_path_outside_counts_also_in_a_line_without_an_end(tmp_path):
    (tmp_path / "index.jsonl").write_bytes(GOOD + crop_line("../b.jpg").encode().rstrip())
    assert "line 2: path '../b.jpg' leads out" in refused(tmp_path)


def test_a_line_without_an_end_is_not_read_forever(tmp_path, monkeypatch):
    monkeypatch.setattr("facecycle_cli.media.listing._MAX_LINE_BYTES", 10_000)
    (tmp_path / "index.jsonl").write_bytes(GOOD + b" " * 20_000)
    assert "line 2: longer than 10,000 bytes" in refused(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
def test_what_the_index_names_is_a_file_of_the_folder(tmp_path):
    root = tmp_path / "faces"
    touch(tmp_path, "faces/a/0.jpg", "faces/a/1.jpg", "secret/0.jpg")
    (root / "a" / "inside.jpg").symlink_to(root / "a" / "1.jpg")
    (root / "a" / "link.jpg").symlink_to(tmp_path / "secret" / "0.jpg")
    (root / "away").symlink_to(tmp_path / "secret")
    (root / "near").symlink_to(root / "a")
    os.mkfifo(root / "a" / "pipe.jpg")
    (root / "a" / "folder.jpg").mkdir()
    (tmp_path / "link").symlink_to(root)

    def listed(*names):
        (root / "index.jsonl").write_text("".join(map(crop_line, ("a/0.jpg", *names))))

    listed("a/inside.jpg", "near/1.jpg", "a/missing.jpg")
    assert len(find_crops([root])) == len(find_crops([tmp_path / "link"])) == 4
    for name, reason in (
        ("a/link.jpg", "is a link that leads out of the folder"),
        ("away/0.jpg", "is below a link that leads out of the folder"),
        ("a/pipe.jpg", "is not a regular file"),
        ("a/folder.jpg", "is not a regular file"),
    ):
        listed("a/1.jpg", name)
        assert refused(root) == f"{root / 'index.jsonl'}: line 3: path '{name}' {reason}"


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes")
def test_a_picture_that_is_no_file_is_not_opened(tmp_path):
    touch(tmp_path, "a/1.jpg")
    index = find_crops([tmp_path])
    (tmp_path / "a" / "1.jpg").unlink()
    os.mkfifo(tmp_path / "a" / "1.jpg")
    with pytest.raises(MediaError, match="not a regular file"):
        index.read(0)


def test_a_picture_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.jpg")
    os.truncate(tmp_path / "a" / "1.jpg", MAX_CROP_BYTES + 1)
    with pytest.raises(MediaError, match="bytes, more than"):
        find_crops([tmp_path]).read(0)


def write_tar(path, *members):
    """Members are (name, content), or tarfile's own."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for member in members:
            if isinstance(member, tuple):
                name, content = member
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                tar.addfile(member)


def special(kind, name="a/1.jpg", link="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (special(tarfile.SYMTYPE), "a/1.jpg: a link, which no shard holds"),
        (special(tarfile.LNKTYPE), "a/1.jpg: a link, which no shard holds"),
        (special(tarfile.CHRTYPE), "a/1.jpg: not a regular file"),
        (special(tarfile.FIFOTYPE), "a/1.jpg: not a regular file"),
        (("/etc/1.jpg", b"x"), "path '/etc/1.jpg' leads out of the folder"),
        (("a/../../1.jpg", b"x"), "leads out of the folder"),
    ],
)
def test_members_that_no_shard_has_are_refused(tmp_path, member, reason):
    shard = tmp_path / "a.tar"
    write_tar(shard, ("a/0.jpg", b"x"), member)
    message = refused(tmp_path)
    assert message.startswith(f"{shard}: ")
    assert reason in message


def test_a_shard_that_states_more_than_it_holds(tmp_path):
    shard = tmp_path / "a.tar"
    large = tarfile.TarInfo("a/0.jpg")
    large.size = 2**40
    shard.write_bytes(large.tobuf(tarfile.GNU_FORMAT) + b"x" * 512)
    assert "a/0.jpg: the shard ends before it does" in refused(tmp_path)
    long_name = special(tarfile.GNUTYPE_LONGNAME)
    long_name.size = 2**33
    shard.write_bytes(long_name.tobuf(tarfile.GNU_FORMAT) + b"x" * 2048)
    assert "a header that is too large" in refused(tmp_path)
    shard.write_bytes(large.tobuf(tarfile.GNU_FORMAT))
    os.truncate(shard, 2**40 + 1024)
    assert "bytes, more than" in refused(tmp_path)


def test_the_line_of_a_sample_is_read_with_care(tmp_path):
    shard = tmp_path / "a.tar"
    for text, reason in (
        (b"no JSON", "a/0.json: not JSON"),
        (b"[1]", "a/0.json: not a JSON object"),
        (b'{"yaw": "left"}', "a/0.json: yaw must be a number"),
        (b'{"yaw": 1e999}', "a/0.json: yaw must be a number, not inf"),
        (b"[" * 60_000, "a/0.json: nested too deeply"),
        (b" " * 70_000, "a/0.json: longer than"),
    ):
        write_tar(shard, ("a/0.jpg", b"x"), ("a/0.json", text))
        with pytest.raises(DataError, match=reason):
            find_crops([tmp_path], quality=Quality(max_yaw=45))
        assert len(find_crops([tmp_path])) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes")
def test_a_shard_that_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    assert refused(tmp_path) == f"{tmp_path / 'a.tar'}: not a regular file"


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("starts", np.array([0, 9])),
        ("starts", np.array([[0, 2]])),
        ("names", np.zeros(5)),
        ("roots_of", np.array([3])),
        ("lengths", np.array([1])),
        ("name_ends", np.array([1, 10**9])),
    ],
)
def test_a_damaged_index_is_said_so(tmp_path, name, array):
    touch(tmp_path / "data", "a/1.jpg", "a/2.jpg")
    find_crops([tmp_path / "data"]).save(tmp_path / "index")
    np.save(tmp_path / "index" / f"{name}.npy", array)
    with pytest.raises(DataError, match=r"index: damaged, remove it to list the crops again"):
        CropIndex.load(tmp_path / "index")
    (tmp_path / "index" / f"{name}.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr'")
    with pytest.raises(DataError, match="index: damaged"):
        CropIndex.load(tmp_path / "index")
