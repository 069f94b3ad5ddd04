"""Pictures of every kind in; PNG, JPEG and WebP out."""

from __future__ import annotations

import gc
import io
import os
import struct
import sys
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facecycle_cli.errors import MediaError
from facecycle_cli.media import (
    encode_image,
    is_still,
    pixel_limit,
    read_image,
    write_image,
)
from facecycle_cli.media import images as images_module
from facecycle_cli.media.images import read_small_image
from tests.media.pictures import difference, encoded


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


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_films_are_not_still(tmp_path, kind):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "x", kind, save_all=True, append_images=frames[1:], duration=100)
    assert not is_still(tmp_path / "x")
    assert difference(read_image(tmp_path / "x"), np.full((16, 16, 3), (255, 0, 0))) < 4


@pytest.mark.parametrize("kind", ["MPO", "TIFF"])
def test_previews_and_pages_are_no_film(photo, tmp_path, kind):
    """Phones and drones write MPO, scanners TIFF of several pages: the first picture counts."""
    second = Image.new("RGB", (16, 12))
    options = {"quality": 100, "subsampling": 0} if kind == "MPO" else {}
    Image.fromarray(photo).save(
        tmp_path / "x", kind, save_all=True, append_images=[second], **options
    )
    with Image.open(tmp_path / "x") as picture:
        assert picture.n_frames == 2
    assert is_still(tmp_path / "x")
    assert difference(read_image(tmp_path / "x"), photo) < 3


def heic(tmp_path, *images, **options):
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    file = heif.HeifFile()
    for image in images:
        file.add_from_pillow(image)
    file.save(tmp_path / "x.heic", quality=-1, **options)
    return tmp_path / "x.heic"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_upright_once(photo, tmp_path, orientation):
    turned = {1: 0, 3: 2, 6: 1, 8: -1}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(photo, turned)))
    path = heic(tmp_path, stored, exif=exif.tobytes())
    assert difference(read_image(path), photo) < 3
    assert is_still(path)


def test_heic_with_several_pictures_is_still(photo, tmp_path):
    path = heic(tmp_path, Image.fromarray(photo), Image.fromarray(255 - photo))
    assert is_still(path)
    assert difference(read_image(path), photo) < 3


def test_heic_without_its_extra_says_what_to_install(photo, tmp_path, monkeypatch):
    path = heic(tmp_path, Image.fromarray(photo))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MediaError, match=r"pip install 'facecycle\[heif\]'"):
        read_image(path)
    assert not is_still(path)


def test_avif_in_the_container_of_heic_is_avif(photo):
    """Some writers give both the same main brand."""
    data = bytearray(encoded(Image.fromarray(photo), "AVIF", quality=100))
    assert data[8:12] == b"avif"
    data[8:12] = b"mif1"
    assert difference(read_image(bytes(data)), photo) < 2


def test_one_pixel():
    assert read_image(encoded(Image.new("RGB", (1, 1)))).shape == (1, 1, 3)


def test_large_scan_is_read_and_an_absurd_one_refused(recwarn):
    large = read_image(encoded(Image.new("1", (12000, 9000))))
    assert large.shape == (9000, 12000, 3)
    assert not recwarn.list
    absurd = encoded(Image.new("1", (16000, 16000)))
    with pytest.raises(MediaError, match=r"too large a picture \(more than 250 megapixels"):
        read_image(absurd)
    thrice = struct.pack(">II", 60000, 60000)
    huge = absurd[:16] + thrice + absurd[24:29]
    huge += struct.pack(">I", zlib.crc32(huge[12:29])) + absurd[33:]
    with pytest.raises(MediaError, match=r"too large a picture \(more than 250 megapixels"):
        read_image(huge)


def test_photograph_of_200_megapixels(monkeypatch):
    """A phone's size. Pillow's own limit is lower, and stays what it was."""
    before = Image.MAX_IMAGE_PIXELS
    data = encoded(Image.new("L", (16320, 12240), 77), "JPEG")
    read = []
    monkeypatch.setattr(images_module, "upright_srgb", lambda picture: read.append(picture.size))
    read_image(data)
    assert read == [(16320, 12240)]
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_lower_limit_for_decoders_that_need_more_memory(photo, monkeypatch):
    monkeypatch.setitem(pixel_limit.MAX_PIXELS_OF, "WEBP", 1_000)
    with pytest.raises(MediaError, match="too large a picture"):
        read_image(encoded(Image.fromarray(photo), "WEBP"))
    assert read_image(encoded(Image.fromarray(photo))).shape == photo.shape


def test_a_gif_has_no_larger_screen_than_a_video():
    """A kilobyte, which would take 1.7 GB and a minute of search for faces."""
    data = bytearray(encoded(Image.new("P", (1, 1)), "GIF"))
    data[6:10] = struct.pack("<HH", 12_000, 12_000)
    with pytest.raises(MediaError, match=r"more than 37 megapixels"):
        read_image(bytes(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"hello, world", "not a picture"),
        (b"\0" * 1000, "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC|damaged"),
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


def test_a_damaged_tiff_says_nothing_of_its_own(tmp_path, capfd):
    """libtiff would write to standard error itself, in lines without a name."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / "x.tif"
    Image.fromarray(noise).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[3000:3400] = b"\xff" * 400
    path.write_bytes(data)
    with pytest.raises(MediaError, match="damaged picture"):
        read_image(path)
    os.write(2, b"still open\n")
    assert capfd.readouterr().err == "still open\n"


def test_a_small_picture_is_small_before_it_is_decoded(monkeypatch):
    small, wide = (encoded(Image.new("RGB", size)) for size in ((64, 48), (65, 3)))
    assert read_small_image(small, 64).shape == (48, 64, 3)
    monkeypatch.setattr(images_module.PictureReader, "read_srgb", None)
    with pytest.raises(MediaError, match="more than 64 pixels"):
        read_small_image(wide, 64)
