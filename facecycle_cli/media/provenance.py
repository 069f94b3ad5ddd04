"""The provenance tag of everything generated: which tool made it, with which weights.

The same JSON is the *comment* of PNG, JPEG, GIF, MP4, WebM and Matroska files. Pictures
also carry an XMP packet with IPTC's ``DigitalSourceType`` "edited using generative AI", which
editors, search engines and social networks read.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.sax.saxutils import escape

from facecycle_cli import __version__
from facecycle_cli.errors import MediaError
from facecycle_cli.media.streams import require_file

TOOL: Final = "facecycle"
DIGITAL_SOURCE_TYPE: Final = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)

_COMPOSITE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/composite"
_MARKED: Final = "a photograph with marks drawn on it"

_HEAD_BYTES: Final = 1 << 16
"""Where tags are looked for: at the beginning, or the end of MP4's ``moov``."""
_MOST_BOXES: Final = 1000
_PICTURES: Final = (b"\xff\xd8", b"\x89PNG", b"GIF8")
_JSON_OBJECT: Final = re.compile(rb"\{[^{}]+\}")

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <xmp:CreatorTool>{creator}</xmp:CreatorTool>
   <Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
   <dc:description>
    <rdf:Alt><rdf:li xml:lang="x-default">{comment}</rdf:li></rdf:Alt>
   </dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class Provenance:
    """How a picture or video was made.

    Attributes:
        operation: the command, such as ``frontalize``.
        checkpoint_sha256: of the weights, in hexadecimal; None: no weights were used.
        tool, version: the program.
        statement: what a reader has to know.
    """

    operation: str
    checkpoint_sha256: str | None = None
    tool: str = TOOL
    version: str = __version__
    statement: str = "AI-manipulated"

    @classmethod
    def of_marks(cls, operation: str) -> Provenance:
        """The note of a photograph in which something is marked and nothing else is changed."""
        return cls(operation, statement=_MARKED)

    def to_json(self) -> str:
        """One line of ASCII, the same for the same values."""
        return json.dumps(asdict(self))

    def to_xmp(self) -> bytes:
        """The XMP packet for pictures."""
        return _XMP.format(
            creator=escape(f"{self.tool} {self.version}"),
            source_type=_COMPOSITE if self.statement == _MARKED else DIGITAL_SOURCE_TYPE,
            comment=escape(self.to_json()),
        ).encode()


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """Read the tag of a PNG, JPEG, WebP, GIF, MP4, WebM or Matroska file.

    Returns:
        The tag's fields; None if the file has no tag of this tool.

    Raises:
        MediaError: the file is neither a picture nor a video, or no regular file.
        OSError: it cannot be opened.
    """
    from PIL import Image, UnidentifiedImageError

    from facecycle_cli.media.pixel_limit import pillow_limit_raised

    require_file(path)
    try:
        with pillow_limit_raised(), Image.open(path) as image:
            tags = _tags_of_picture(image.info)
    except UnidentifiedImageError:
        from facecycle_cli.media.ffmpeg import read_metadata

        tags = [_parse(read_metadata(path).get("comment"))]
    except Image.DecompressionBombError as error:
        raise MediaError(str(error)) from error
    return next((tag for tag in tags if tag is not None), None)


def is_result(path: str | os.PathLike[str]) -> bool:
    """Whether facecycle made the picture or video at ``path``: it has our tag.

    This reads the headers of the file only and runs no other program. What cannot be read is no
    result: whoever opens it says what is wrong.
    """
    try:
        require_file(path)
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
            if head[8:12] == b"WEBP":
                return _is_picture_of_ours(file)  # its tag is at the end
            if head[4:8] == b"ftyp":
                head = _end_of_movie_box(file)
            if TOOL.encode() not in head:
                return False  # nearly all files; a closer look takes ten times as long
            if head.startswith(_PICTURES):
                return _is_picture_of_ours(file)
            return any(_parse(match) is not None for match in _JSON_OBJECT.findall(head))
    except Exception:  # damaged headers raise nearly anything
        return False


def _is_picture_of_ours(file: BinaryIO) -> bool:
    from PIL import Image

    from facecycle_cli.media.pixel_limit import pillow_limit_raised

    formats = ("JPEG", "PNG", "GIF", "WEBP")
    with warnings.catch_warnings(), pillow_limit_raised():
        warnings.simplefilter("ignore")
        file.seek(0)
        with Image.open(file, formats=formats) as image:
            return any(tag is not None for tag in _tags_of_picture(image.info))


def _end_of_movie_box(file: BinaryIO) -> bytes:
    """Of an MP4 file: the end of ``moov``, where its tags are. The box may be anywhere."""
    end = file.seek(0, os.SEEK_END)
    start = 0
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        size = size or end - start
        if head[4:8] == b"moov":
            stop = min(start + size, end)
            file.seek(max(start, stop - _HEAD_BYTES))
            return file.read(min(size, _HEAD_BYTES))
        start += size
        if size < 8 or start >= end:
            break
    return b""


def _tags_of_picture(info: Mapping[str | tuple[int, int], Any]) -> list[dict[str, Any] | None]:
    comments = [info.get("comment"), info.get("Comment"), *_comments_of_xmp(info.get("xmp"))]
    return [_parse(comment) for comment in comments]


def _comments_of_xmp(packet: str | bytes | None) -> Iterator[str]:
    if packet is None:
        return
    from xml.etree import ElementTree

    text = packet.encode() if isinstance(packet, str) else packet
    body = re.search(rb"<x:xmpmeta.*</x:xmpmeta>", text, re.DOTALL)
    if body is None:
        return
    try:
        root = ElementTree.fromstring(body.group())
    except ElementTree.ParseError:
        return
    for item in root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"):
        yield item.text or ""


def _parse(comment: str | bytes | None) -> dict[str, Any] | None:
    if comment is None:
        return None
    try:
        tag = json.loads(comment)
    except ValueError:
        return None
    return tag if isinstance(tag, dict) and tag.get("tool") == TOOL else None


def add_gif_comment(path: Path, comment: str) -> None:
    """Insert a comment after the header of the GIF at ``path``: ffmpeg cannot write one."""
    import shutil

    plain = path.with_name(f"{path.name}.plain")
    path.rename(plain)
    try:
        with open(plain, "rb") as source, open(path, "wb") as target:
            header = source.read(13)
            colors = 3 * 2 ** ((header[10] & 7) + 1) if header[10] & 0x80 else 0
            target.write(header + source.read(colors))
            data = comment.encode()
            target.write(b"\x21\xfe")
            for start in range(0, len(data), 255):
                block = data[start : start + 255]
                target.write(bytes([len(block)]) + block)
            target.write(b"\x00")
            shutil.copyfileobj(source, target)
    finally:
        plain.unlink()
