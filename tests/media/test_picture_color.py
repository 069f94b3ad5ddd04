"""Every mode, profile and orientation becomes upright sRGB, a strip at a time."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from facecycle_cli.media import picture_color, read_image
from tests.media.pictures import difference, encoded


def test_gray_and_bilevel(photo):
    gray = Image.fromarray(photo).convert("L")
    assert np.array_equal(read_image(encoded(gray)), np.stack([np.asarray(gray)] * 3, -1))
    assert set(np.unique(read_image(encoded(gray.convert("1"))))) == {0, 255}


def test_sixteen_bits_keep_their_scale():
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(4, 0)
    image = read_image(encoded(Image.fromarray(ramp)))
    assert np.array_equal(image[0, :, 0], np.arange(256))


def test_sixteen_bit_tiff_and_float_tiff():
    levels = np.arange(256)
    sixteen = Image.fromarray((levels * 257).astype(np.uint16)[None])
    assert np.array_equal(read_image(encoded(sixteen, "TIFF"))[0, :, 1], levels)
    for scale in (1.0, 255.0):
        floats = Image.fromarray((levels / 255.0 * scale).astype(np.float32)[None])
        assert np.array_equal(read_image(encoded(floats, "TIFF"))[0, :, 2], levels)


def test_cmyk_jpeg(photo):
    data = encoded(Image.fromarray(photo).convert("CMYK"), "JPEG", quality=100)
    assert difference(read_image(data), photo) < 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_white(mode):
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[:, 3:] = (0, 0, 0, 255)
    result = read_image(encoded(Image.fromarray(rgba).convert(mode)))
    assert (result[:, :3] == 255).all()
    assert (result[:, 3:] == 0).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(kind):
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
    result = read_image(encoded(image, kind, transparency=1))
    assert result.tolist() == [[[9, 9, 9], [255, 255, 255], [0, 0, 200]]]


def test_half_transparency_blends():
    half = Image.new("RGBA", (2, 2), (200, 0, 0, 128))
    assert difference(read_image(encoded(half)), np.full((2, 2, 3), (227, 127, 127))) < 1


def test_palette_without_transparency(photo):
    paletted = Image.fromarray(photo).quantize(256)
    expected = np.asarray(paletted.convert("RGB"))
    assert np.array_equal(read_image(encoded(paletted)), expected)
    assert np.array_equal(read_image(encoded(paletted, "GIF")), expected)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exchanged_profile() -> bytes:
    """A profile with red and green exchanged: it is no use to anybody, but it shows."""
    srgb = srgb_profile()
    tags = {srgb[i : i + 4]: i for i in range(132, 132 + 12 * srgb[131], 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    exchanged = bytearray(srgb.replace(b"s\0R\0G\0B", b"x\0R\0G\0B").replace(b"sRGB", b"xRGB"))
    exchanged[red + 4 : red + 12] = srgb[green + 4 : green + 12]
    exchanged[green + 4 : green + 12] = srgb[red + 4 : red + 12]
    return bytes(exchanged)


def test_color_profile_becomes_srgb():
    image = Image.new("RGB", (2, 2), (250, 10, 20))
    result = read_image(encoded(image, icc_profile=exchanged_profile()))
    assert difference(result, np.full((2, 2, 3), (10, 250, 20))) < 3
    assert (read_image(encoded(image, icc_profile=srgb_profile())) == (250, 10, 20)).all()
    assert (read_image(encoded(image, icc_profile=b"no profile")) == (250, 10, 20)).all()


MODES = ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", MODES)
def test_strips_give_what_the_whole_gives(photo, monkeypatch, mode, orientation):
    plain = Image.fromarray(photo)
    if mode in ("I;16", "I", "F"):
        picture = Image.fromarray(photo[..., 0].astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]))
    elif mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(
            plain, ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
        )
    else:
        picture = plain.convert(mode)
    if mode in ("LA", "RGBA"):
        picture.putalpha(plain.getchannel("G"))
    picture.info["icc_profile"] = exchanged_profile()
    picture.getexif()[0x0112] = orientation
    whole = picture_color.upright_srgb(picture)
    monkeypatch.setattr(picture_color, "_STRIP_PIXELS", 7 * picture.width)
    strips = picture_color.upright_srgb(picture)
    assert strips.flags.c_contiguous
    assert strips.shape == ((80, 60, 3) if orientation > 4 else (60, 80, 3))
    assert np.array_equal(whole, strips)
    assert len(np.unique(strips)) > 1


def test_gray_profile(photo):
    """A gray picture with a gray profile of gamma 1 becomes lighter."""
    gray = Image.new("L", (4, 3), 60)
    assert (read_image(encoded(gray, icc_profile=gray_profile(1.0))) > 120).all()


def gray_profile(gamma: float) -> bytes:
    """A minimal ICC profile: a white point and a gray tone curve."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"gray\0" + bytes(79)
    body, table = b"", b""
    for name, data in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", 128 + 4 + 36 + len(body), len(data))
        body += data
    head = bytearray(128)
    head[0:4] = struct.pack(">I", 128 + 4 + len(table) + len(body))
    head[8:12] = b"\2\x10\0\0"
    head[12:24] = b"mntrGRAYXYZ "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">iii", 63190, 65536, 54061)
    return bytes(head) + struct.pack(">I", 3) + table + body


def test_a_profile_does_not_belong_to_what_lab_becomes(photo):
    """Pillow's way from LAB to RGB ends in sRGB; a profile of RGB would be applied after that."""
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(Image.fromarray(photo), srgb, lab, outputMode="LAB")
    expected = picture_color.upright_srgb(picture)
    picture.info["icc_profile"] = exchanged_profile()
    assert np.array_equal(picture_color.upright_srgb(picture), expected)
    assert difference(expected, photo) < 6
