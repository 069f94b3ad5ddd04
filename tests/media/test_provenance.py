"""What is generated says so, to programs too."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import facecycle_cli
from facecycle_cli.errors import MediaError
from facecycle_cli.media import Provenance, open_video, read_provenance, write_image

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
