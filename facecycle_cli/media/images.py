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
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Final

import imageio.v3 as iio
import numpy as np
from imageio.core.request import Request
from imageio.core.v3_plugin_api import PluginV3
from imageio.plugins.pillow import PillowPlugin
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from facecycle_cli.errors import MediaError, MissingExtraError
from facecycle_cli.media.ffmpeg import RAW_JPEG_SUFFIXES
from facecycle_cli.media.picture_color import upright_srgb
from facecycle_cli.media.pixel_limit import check_pixels, pillow_limit_raised, too_large
from facecycle_cli.media.provenance import Provenance
from facecycle_cli.media.streams import ImageSource, is_pipe, open_seekable, quiet_library
from facecycle_cli.system import atomic_path, import_extra
from facecycle_cli.types import RGBImage

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
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_FULL_CHROMA_QUALITY: Final = 90
"""JPEG quality from which on chroma is kept at full resolution."""

_STILL: Final = frozenset({"MPO", "TIFF", "HEIF"})
"""Formats whose further pictures are previews, views or pages, and no frames of a film."""


class PictureReader(PillowPlugin):
    """imageio's Pillow plugin for reading a known set of formats, with color management.

    Raises:
        MediaError: it has too many pixels, or is a HEIC picture and pillow-heif is missing.
    """

    def __init__(self, request: Request) -> None:
        PluginV3.__init__(self, request)
        self.images_to_write: list[Image.Image] = []
        self._image = None  # for ``close``, should the next lines fail
        file = request.get_file()
        with pillow_limit_raised():
            self._picture = _open_heif(file) if _is_heif(file) else _open(file)
        self._image = self._picture
        check_pixels(self._picture)

    def read_srgb(self) -> RGBImage:
        """The first frame: upright, in sRGB, on white where it is transparent, 8 bits deep.

        The parent's ``read`` ignores color profiles and transparent palette entries, and fails if
        the EXIF block is damaged.
        """
        is_tiff = self._picture.format == "TIFF"
        with pillow_limit_raised(), quiet_library() if is_tiff else nullcontext():
            self._picture.load()
        if not self.is_animated:
            vars(self._picture).pop("_decoder", None)  # WebP's and AVIF's: as large as two pictures
        return upright_srgb(self._picture)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._picture.size

    @property
    def is_animated(self) -> bool:
        """Whether there is more than one frame. Unlike ``properties`` it counts no further."""
        if self._picture.format in _STILL:
            return False
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
        MediaError: it is no picture, is damaged, is no regular file (``/dev/stdin`` and
            ``/dev/fd/N`` may be pipes), or has more than 250 megapixels (AVIF 180, WebP 130,
            JPEG 2000 80, GIF 37).
        OSError: it cannot be opened.
    """
    with _opened(source) as picture, _decoding():
        return picture.read_srgb()


def read_small_image(data: bytes, longest: int) -> RGBImage:
    """Read a picture whose sides have at most ``longest`` pixels, as :func:`read_image` does.

    Args:
        data: the bytes of a file that may say of itself whatever it likes.
        longest: the most pixels of a side.

    Raises:
        MediaError: it is no picture, is damaged, or is larger.
    """
    with _opened(data) as picture, _decoding():
        if max(picture.size) > longest:
            raise MediaError(f"more than {longest} pixels wide or high")
        return picture.read_srgb()


def is_still(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a picture of one frame (an animated GIF or a video is not).

    A photograph with a preview or a second view (MPO), a TIFF of several pages and a HEIC with
    several pictures are stills: the first one counts. So is what comes through a pipe, which is not
    read here, because it can be read only once.
    """
    if is_pipe(path):
        return True
    if os.path.splitext(path)[1].lower() in RAW_JPEG_SUFFIXES:
        return False  # Pillow sees its first picture
    try:
        return not is_animation(path)
    except MediaError:
        return False


def is_animation(path: str | os.PathLike[str]) -> bool:
    """Whether the picture is one of several frames, which :func:`.read_frames` reads.

    Raises:
        MediaError: it is no picture.
        OSError: it cannot be opened.
    """
    with _opened(path) as picture:
        return picture.is_animated


@contextmanager
def _opened(source: ImageSource) -> Iterator[PictureReader]:
    """The picture, identified and not yet decoded.

    imageio gets a stream, never a name: it would take some names for addresses of the internet or
    for members of a ZIP archive.
    """
    with open_seekable(source) as stream:
        if not stream.read(1):
            raise MediaError("empty file")
        stream.seek(0)
        with _decoding():
            picture = _identify(stream)
        with closing(picture):
            yield picture


def _identify(stream: BinaryIO) -> PictureReader:
    try:
        return iio.imopen(stream, "r", plugin=PictureReader)
    except OSError as error:  # imageio wraps whatever a plugin raises
        raise error.__cause__ or error from None


def _open(file: BinaryIO) -> Image.Image:
    return Image.open(file, formats=_READABLE)


def _is_heif(file: BinaryIO) -> bool:
    """Whether the picture is HEIC, and not AVIF, which has the same container."""
    head = file.read(12)
    brands = {head[8:12]}
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        compatible = file.read(min(int.from_bytes(head[:4], "big"), 512) - 12)
        brands |= {compatible[i : i + 4] for i in range(4, len(compatible), 4)}
    file.seek(0)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and not brands & _AVIF_BRANDS


def _open_heif(file: BinaryIO) -> Image.Image:
    """A HEIC picture. Its rotation is applied by libheif, and the EXIF orientation reset."""
    try:
        plugin = import_extra("pillow_heif")
    except MissingExtraError as error:
        raise MediaError(f"a HEIC picture: {error}") from None
    picture: Image.Image = plugin.HeifImageFile(file)
    return picture


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
        raise MediaError(too_large()) from error
    except (MediaError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's failure, not the picture's
        raise MediaError(f"damaged picture ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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
