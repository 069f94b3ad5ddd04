"""What is generated says so, to programs too."""

from __future__ import annotations

import json
import os
import re
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import facecycle_cli
from facecycle_cli.errors import MediaError
from facecycle_cli.media import Provenance, ffmpeg, open_video, read_provenance, write_image
from facecycle_cli.media.provenance import is_result
from facecycle_cli.media.video_writer import VIDEO_FORMATS

TAG = Provenance("frontalize", checkpoint_sha256="0123abcd" * 8)


def test_json_says_what_is_promised():
    assert json.loads(TAG.to_json()) == {
        "operation": "frontalize",
        "checkpoint_sha256": "0123abcd" * 8,
        "tool": "facecycle",
        "version": facecycle_cli.__version__,
        "statement": "AI-manipulated",
    }


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_stills_carry_it(photo, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_image(photo, path, provenance=TAG)
    assert read_provenance(path) == json.loads(TAG.to_json())
    # what other programs look for
    data = path.read_bytes()
    assert b"compositeWithTrainedAlgorithmicMedia" in data
    assert b"<xmp:CreatorTool>facecycle" in data


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_comment_alone_is_enough(photo, tmp_path, suffix):
    """Some services drop XMP and keep the comment."""
    path = tmp_path / f"x{suffix}"
    write_image(photo, path, provenance=TAG)
    with Image.open(path) as image:
        comment = image.info.get("comment") or image.info.get("Comment")
    assert json.loads(comment)["statement"] == "AI-manipulated"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
def test_videos_carry_it(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with open_video(path, Fraction(10), (32, 32), provenance=TAG) as video:
        for level in (0, 100, 200):
            video.write(np.full((32, 32, 3), level, np.uint8))
    assert read_provenance(path) == json.loads(TAG.to_json())


def test_gif_with_its_comment_is_still_a_gif(tmp_path):
    path = tmp_path / "x.gif"
    operation = "a long story, " * 60  # a comment of more than one block
    with open_video(path, Fraction(10), (16, 16), provenance=Provenance(operation)) as video:
        for level in (0, 100, 200):
            video.write(np.full((16, 16, 3), level, np.uint8))
    with Image.open(path) as image:
        assert image.n_frames == 3
        image.seek(2)
        assert image.convert("RGB").getpixel((8, 8)) == (200, 200, 200)
    assert read_provenance(path)["operation"] == operation
    assert list(tmp_path.iterdir()) == [path]


def test_every_frame_of_a_folder_carries_it(tmp_path):
    with open_video(tmp_path / "frames", Fraction(10), (8, 8), provenance=TAG) as video:
        video.write(np.zeros((8, 8, 3), np.uint8))
    assert read_provenance(tmp_path / "frames" / "000000.png")["operation"] == "frontalize"


def test_other_pictures_carry_none(photo, tmp_path):
    path = tmp_path / "x.png"
    write_image(photo, path, provenance=None)
    assert read_provenance(path) is None
    Image.fromarray(photo).save(tmp_path / "x.jpg", comment=b'{"tool": "another"}')
    assert read_provenance(tmp_path / "x.jpg") is None
    Image.fromarray(photo).save(tmp_path / "y.jpg", comment=b"plain", xmp=b"<x:xmpmeta broken")
    assert read_provenance(tmp_path / "y.jpg") is None


def test_what_is_no_medium(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_text("text")
    with pytest.raises(MediaError, match="not a picture or video"):
        read_provenance(path)
    with pytest.raises(FileNotFoundError):
        read_provenance(tmp_path / "gone.mp4")


@pytest.mark.parametrize("suffix", [*VIDEO_FORMATS, ".png", ".jpg", ".webp"])
def test_results_are_known_by_their_headers(photo, tmp_path, monkeypatch, suffix):
    def write(name: str, tag: Provenance | None) -> None:
        if suffix not in VIDEO_FORMATS:
            write_image(photo, tmp_path / name, provenance=tag)
            return
        with open_video(tmp_path / name, Fraction(10), (32, 32), provenance=tag) as video:
            for level in (0, 100, 200):
                video.write(np.full((32, 32, 3), level, np.uint8))

    write(f"ours{suffix}", TAG)
    write(f"other{suffix}", None)

    def no_program(*_, **__):
        raise AssertionError("a header needs no program")

    monkeypatch.setattr(ffmpeg, "run", no_program)
    assert is_result(tmp_path / f"ours{suffix}")
    assert not is_result(tmp_path / f"other{suffix}")


def test_results_are_known_wherever_mp4_has_its_index(tmp_path):
    path = tmp_path / "x.mp4"
    with open_video(path, Fraction(10), (32, 32), provenance=TAG) as video:
        for level in (0, 100, 200):
            video.write(np.full((32, 32, 3), level, np.uint8))
    data = path.read_bytes()
    boxes, start = {}, 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        boxes[data[start + 4 : start + 8]] = data[start : start + size]
        start += size
    large = (1).to_bytes(4, "big") + b"free" + (200_016).to_bytes(8, "big") + bytes(200_000)
    moov = boxes.pop(b"moov")
    path.write_bytes(b"".join(boxes.values()) + large + moov)
    assert is_result(path)
    path.write_bytes(b"".join(boxes.values()) + large)
    assert not is_result(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"\0\0\0\x08ftyp\0\0\0\0moov",
        b"\0\0\0\x0cftypisom\0\0\0\0moov",
        b"\0\0\0\x08ftyp" * 2000,
        b"\x1aE\xdf\xa3{}{[}{'tool': 'facecycle'}",
        b'\x1aE\xdf\xa3{"tool": "another"}',
    ],
)
def test_damaged_headers_are_no_results(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    assert not is_result(tmp_path / "x")
    assert not is_result(tmp_path / "gone")
    assert not is_result(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_no_tag_is_looked_for_in_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    assert not is_result(tmp_path / "x.png")
    with pytest.raises(MediaError, match="not a regular file"):
        read_provenance(tmp_path / "x.png")


def test_special_characters_survive(photo, tmp_path):
    strange = Provenance('<a href="x">&amp; = ; # \\ ü', checkpoint_sha256=None)
    for suffix in (".png", ".jpg"):
        write_image(photo, tmp_path / f"x{suffix}", provenance=strange)
        assert read_provenance(tmp_path / f"x{suffix}")["operation"] == strange.operation
    with open_video(tmp_path / "x.mp4", Fraction(5), (16, 16), provenance=strange) as video:
        video.write(np.zeros((16, 16, 3), np.uint8))
    assert read_provenance(tmp_path / "x.mp4")["operation"] == strange.operation


def test_xmp_is_well_formed():
    from xml.etree import ElementTree

    packet = Provenance("<&>").to_xmp()
    ElementTree.fromstring(re.sub(rb"<\?xpacket.*?\?>", b"", packet))
