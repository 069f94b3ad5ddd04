"""Pictures of every kind in; PNG, JPEG and WebP out."""

from __future__ import annotations

import gc
import io
import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from facecycle_cli.errors import MediaError
from facecycle_cli.media import encode_image, is_still, read_image, write_image


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(a, b) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_result_is_contiguous_rgb(photo):
    image = read_image(encoded(Image.fromarray(photo)))
    assert (image.dtype, image.shape) == (np.uint8, (60, 80, 3))
    assert image.flags.c_contiguous
    assert np.array_equal(image, photo)


def test_path_bytes_stream_and_pipe_are_the_same(photo, tmp_path):
    data = encoded(Image.fromarray(photo))
    path = tmp_path / "x.anything"
    path.write_bytes(data)
    reader, writer = os.pipe()
    feeder = threading.Thread(target=lambda: (os.write(writer, data), os.close(writer)))
    feeder.start()
    with os.fdopen(reader, "rb") as pipe:
        from_pipe = read_image(pipe)
    feeder.join()
    for image in (read_image(path), read_image(str(path)), read_image(io.BytesIO(data)), from_pipe):
        assert np.array_equal(image, photo)


@pytest.mark.parametrize(
    "name", ["a.zip/x.png", "~x.png", "imageio:chelsea.png", "<video0>", "<bytes>"]
)
def test_a_name_is_a_file_whatever_imageio_would_take_it_for(photo, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(encoded(Image.fromarray(photo)))
    assert np.array_equal(read_image(name), photo)
    assert is_still(name)


def test_a_failed_picture_leaves_no_open_file(photo, tmp_path, recwarn):
    whole = encoded(Image.fromarray(photo), "JPEG")
    for data in (b"hello, world", b"\x89PNG\r\n\x1a\n", whole[: len(whole) // 2]):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(MediaError):
            read_image(tmp_path / "x")
        gc.collect()
    assert not [str(w.message) for w in recwarn.list]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "TGA", "AVIF", "JPEG2000"])
def test_formats(photo, kind):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "AVIF" else {}
    assert difference(read_image(encoded(Image.fromarray(photo), kind, **options)), photo) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(photo, orientation):
    turned = {
        1: photo,
        2: photo[:, ::-1],
        3: photo[::-1, ::-1],
        4: photo[::-1],
        5: photo.transpose(1, 0, 2),
        6: np.rot90(photo, 1),
        7: photo[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(photo, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turned))
    assert np.array_equal(read_image(encoded(stored, exif=exif)), photo)


def test_broken_exif_does_not_matter(photo):
    data = encoded(Image.fromarray(photo), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0\0")
    assert read_image(data).shape == photo.shape


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


def test_color_profile_becomes_srgb():
    """A profile with red and green exchanged is no use to anybody, but it shows."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = {srgb[i : i + 4]: i for i in range(132, 132 + 12 * srgb[131], 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    exchanged = bytearray(srgb.replace(b"s\0R\0G\0B", b"x\0R\0G\0B").replace(b"sRGB", b"xRGB"))
    exchanged[red + 4 : red + 12] = srgb[green + 4 : green + 12]
    exchanged[green + 4 : green + 12] = srgb[red + 4 : red + 12]
    image = Image.new("RGB", (2, 2), (250, 10, 20))
    result = read_image(encoded(image, icc_profile=bytes(exchanged)))
    assert difference(result, np.full((2, 2, 3), (10, 250, 20))) < 3
    assert (read_image(encoded(image, icc_profile=srgb)) == (250, 10, 20)).all()
    assert (read_image(encoded(image, icc_profile=b"no profile")) == (250, 10, 20)).all()


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    path = tmp_path / "x.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (read_image(path) == (255, 0, 0)).all()
    assert not is_still(path)
    frames[0].save(path)
    assert is_still(path)
    path.write_text("text")
    assert not is_still(path)


def test_one_pixel():
    assert read_image(encoded(Image.new("RGB", (1, 1)))).shape == (1, 1, 3)


def test_large_scan_is_read_and_an_absurd_one_refused(recwarn):
    large = read_image(encoded(Image.new("1", (12000, 9000))))
    assert large.shape == (9000, 12000, 3)
    assert not recwarn.list
    absurd = encoded(Image.new("1", (15000, 15000)))
    with pytest.raises(MediaError, match=r"too large a picture \(more than 178 megapixels"):
        read_image(absurd)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"hello, world", "not a picture"),
        (b"\0" * 1000, "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC .* not supported"),
        (b"\x89PNG\r\n\x1a\n", "not a picture|damaged"),
    ],
)
def test_what_is_no_picture(data, message):
    with pytest.raises(MediaError, match=message):
        read_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_truncated(photo, kind):
    data = encoded(Image.fromarray(photo), kind)
    with pytest.raises(MediaError) as error:
        read_image(data[: len(data) * 2 // 3])
    assert "\n" not in str(error.value)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_damage_is_one_error_or_a_picture(position, noise):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    for kind in ("JPEG", "PNG"):
        data = bytearray(encoded(image, kind))
        position %= len(data)
        data[position : position + len(noise)] = noise
        try:
            result = read_image(bytes(data))
        except MediaError:
            continue
        assert result.ndim == 3


def test_system_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "gone.png")
    with pytest.raises(IsADirectoryError):
        read_image(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp"])
def test_written_pictures_read_back(photo, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_image(photo, path, provenance=None)
    assert difference(read_image(path), photo) < (1 if suffix == ".png" else 3)


def test_same_picture_same_bytes(photo):
    for suffix in ("png", ".jpg"):
        first = encode_image(photo, format=suffix, provenance=None)
        assert first == encode_image(photo, format=suffix, provenance=None)


def test_quality_changes_the_size(photo):
    sizes = [len(encode_image(photo, format="jpg", provenance=None, quality=q)) for q in (50, 99)]
    assert sizes[0] < sizes[1]


def test_stream_target_and_gray(photo):
    buffer = io.BytesIO()
    write_image(photo[..., 0], buffer, provenance=None)
    assert np.array_equal(read_image(buffer.getvalue())[..., 2], photo[..., 0])


@pytest.mark.parametrize("name", ["x.bmp", "x.gif", "x"])
def test_other_formats_are_refused_before_a_file_appears(photo, tmp_path, name):
    with pytest.raises(MediaError, match=r"use \.png, \.jpg or \.webp"):
        write_image(photo, tmp_path / name, provenance=None)
    assert not list(tmp_path.iterdir())


def test_wrong_arrays_are_refused(photo):
    with pytest.raises(MediaError, match="float64"):
        encode_image(photo / 255.0, provenance=None)
    with pytest.raises(MediaError, match=r"60, 80, 2"):
        encode_image(photo[..., :2], provenance=None)
