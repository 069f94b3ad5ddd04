"""Pictures: every common format in, PNG, JPEG or WebP with a provenance tag out.

A picture is an array here: RGB uint8 (H, W, 3), C-contiguous, sRGB, upright.

Files go through the v3 API of `imageio <https://imageio.readthedocs.io>`_ and its Pillow plugin,
which :class:`PictureReader` and :class:`PictureWriter` adapt.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import imageio.v3 as iio
import numpy as np
from imageio.core.request import Request
from imageio.core.v3_plugin_api import PluginV3
from imageio.plugins.pillow import PillowPlugin
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from facecycle_cli.errors import MediaError
from facecycle_cli.media.provenance import Provenance
from facecycle_cli.system import atomic_path
from facecycle_cli.types import RGBImage

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO"
"""A path, the bytes of a file, or a binary stream."""

# Pillow reads more, but some of it by running other programs (EPS: Ghostscript). The everyday
# formats come first: the modules of the others are imported only when these do not match.
_READABLE: Final = "JPEG PNG GIF BMP PPM WEBP TIFF JPEG2000 TGA ICO AVIF".split()
_WRITABLE: Final = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
}
IMAGE_FORMATS: Final = tuple(_WRITABLE)
"""Suffixes of the pictures that can be written."""
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
_FULL_CHROMA_QUALITY: Final = 90
"""JPEG quality from which on chroma is kept at full resolution."""


class PictureReader(PillowPlugin):
    """imageio's Pillow plugin for reading a known set of formats, with color management."""

    def __init__(self, request: Request) -> None:
        PluginV3.__init__(self, request)
        self.images_to_write: list[Image.Image] = []
        self._image = None  # for ``close``, should the next line fail
        self._picture = Image.open(request.get_file(), formats=_READABLE)
        self._image = self._picture

    def read_srgb(self) -> RGBImage:
        """The first frame: upright, in sRGB, on white where it is transparent, 8 bits deep.

        The parent's ``read`` ignores color profiles and transparent palette entries, and fails if
        the EXIF block is damaged.
        """
        self._picture.load()
        _turn_upright(self._picture)
        return np.array(_to_srgb(self._picture))

    @property
    def is_animated(self) -> bool:
        """Whether there is more than one frame. Unlike ``properties`` it counts no further."""
        return bool(getattr(self._picture, "is_animated", False))  # not every format defines it


class PictureWriter(PillowPlugin):
    """imageio's Pillow plugin for writing one format, which the call of ``write`` names.

    The parent looks the format up by its suffix, for which Pillow imports the modules of all
    formats. That takes longer than to write a picture.
    """

    def __init__(self, request: Request) -> None:
        PluginV3.__init__(self, request)
        self.images_to_write: list[Image.Image] = []
        self.save_args: dict[str, Any] = {}
        self._image = None


def read_image(source: ImageSource) -> RGBImage:
    """Read the picture in ``source``.

    EXIF orientation is applied and an embedded color profile converted to sRGB. Transparent
    pictures are put on white, 16-bit ones scaled to 8 bits; of an animated picture the first frame
    is taken.

    Args:
        source: a path, the bytes of a file, or a binary stream (which may be a pipe).

    Returns:
        RGB, uint8 (H, W, 3).

    Raises:
        MediaError: it is no picture, is damaged, or has more pixels than Pillow considers safe
            (about 179 million).
        OSError: it cannot be opened.
    """
    with _opened(source) as picture, _decoding():
        return picture.read_srgb()


def is_still(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a picture of one frame (an animated GIF or a video is not)."""
    try:
        with _opened(path) as picture:
            return not picture.is_animated
    except MediaError:
        return False


@contextmanager
def _opened(source: ImageSource) -> Iterator[PictureReader]:
    """The picture, identified and not yet decoded.

    imageio gets a stream, never a name: it would take some names for addresses of the internet or
    for members of a ZIP archive.
    """
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file, _opened(file) as picture:
            yield picture
        return
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    if not stream.seekable():  # a pipe
        stream = io.BytesIO(stream.read())
    head = stream.read(12)
    if not head:
        raise MediaError("empty file")
    stream.seek(0)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        raise MediaError("HEIC pictures are not supported; convert it to JPEG or PNG first")
    with _decoding():
        picture = _identify(stream)
    with closing(picture):
        yield picture


def _identify(stream: BinaryIO) -> PictureReader:
    try:
        return iio.imopen(stream, "r", plugin=PictureReader)
    except OSError as error:  # imageio wraps whatever a plugin raises
        raise error.__cause__ or error from None


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn Pillow's many exceptions into :class:`MediaError`, and suppress its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise MediaError("not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise MediaError(f"too large a picture (more than {limit} megapixels)") from error
    except (MediaError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's failure, not the picture's
        raise MediaError(f"damaged picture ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _turn_upright(image: Image.Image) -> None:
    with suppress(Exception):  # an unreadable EXIF block says nothing about the pixels
        ImageOps.exif_transpose(image, in_place=True)


def _to_srgb(image: Image.Image) -> Image.Image:
    """A picture of any Pillow mode to RGB, in sRGB."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_scaled_to_8_bits(image)).convert("RGB")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        colors = _convert_profile(with_alpha.convert("RGB"), image.info.get("icc_profile"))
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(colors, mask=with_alpha.getchannel("A"))
        return on_white
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image = _convert_profile(image, image.info.get("icc_profile"))
    return image if image.mode == "RGB" else image.convert("RGB")  # convert would copy a large scan


def _scaled_to_8_bits(image: Image.Image) -> RGBImage:
    """Gray of 16 bits (also if stored in 32) or float (0..1; 0..255 if any value exceeds 1)."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        scale = 255.0 if values.max(initial=0.0) <= 1.0 else 1.0
    else:
        scale = 255.0 / 65535.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _convert_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """``image`` (RGB, L or CMYK) in sRGB; as it is if its profile is sRGB or unusable."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return image if converted is None else converted


def write_image(
    array: RGBImage,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 (Pillow's name for it)
    provenance: Provenance | None,
    quality: int = 95,
) -> None:
    """Write ``array`` as PNG, JPEG or WebP.

    Args:
        array: uint8, (H, W, 3) RGB or (H, W) gray.
        target: a path, which is written to a temporary name and renamed, or a binary stream.
        format: a suffix; default: that of ``target``, or ``png`` for a stream.
        provenance: None only for pictures that were not generated.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        MediaError: another format, or an array that is no picture.
        OSError: it cannot be written.
    """
    if isinstance(target, (str, os.PathLike)):
        path = Path(target)
        data = encode_image(
            array,
            format=format or path.suffix or "(no suffix)",
            provenance=provenance,
            quality=quality,
        )
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    else:
        target.write(
            encode_image(array, format=format or "png", provenance=provenance, quality=quality)
        )


def encode_image(
    array: RGBImage,
    *,
    format: str = "png",  # noqa: A002
    provenance: Provenance | None,
    quality: int = 95,
) -> bytes:
    """Bytes of the file that :func:`write_image` would write; ``format`` is its suffix.

    Raises:
        MediaError: another format, or an array that is no picture.
    """
    suffix = f".{format.lower().lstrip('.')}"
    if suffix not in _WRITABLE:
        raise MediaError(f"cannot write {format} pictures; use .png, .jpg or .webp")
    if array.dtype != np.uint8 or not (
        array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    ):
        raise MediaError(f"cannot write an array of {array.dtype} {array.shape} as a picture")
    name = _WRITABLE[suffix]
    buffer = io.BytesIO()
    with closing(iio.imopen(buffer, "w", plugin=PictureWriter)) as picture:
        options = _save_options(name, provenance, quality)
        picture.write(array, format=name, is_batch=False, **options)
    return buffer.getvalue()


def _save_options(name: str, provenance: Provenance | None, quality: int) -> dict[str, Any]:
    """Pillow's options, which imageio passes on, for the format of that name."""
    options: dict[str, Any] = {}
    if name != "PNG":
        options["quality"] = quality
    if name == "JPEG" and quality >= _FULL_CHROMA_QUALITY:
        options["subsampling"] = "4:4:4"  # chroma at half resolution smears lips and eyes
    if provenance is None:
        return options
    if name == "PNG":
        text = PngInfo()
        text.add_text("Software", f"{provenance.tool} {provenance.version}")
        text.add_text("Comment", provenance.to_json())
        text.add_itxt("XML:com.adobe.xmp", provenance.to_xmp().decode())
        return options | {"pnginfo": text}
    options["xmp"] = provenance.to_xmp()
    if name == "JPEG":
        options["comment"] = provenance.to_json().encode()
    return options
