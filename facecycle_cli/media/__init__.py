"""Pictures and videos in and out, and the provenance tag of everything generated."""

from facecycle_cli.media.files import Input, expand_inputs
from facecycle_cli.media.images import (
    IMAGE_FORMATS,
    encode_image,
    is_animation,
    is_still,
    read_image,
    write_image,
)
from facecycle_cli.media.provenance import Provenance, read_provenance
from facecycle_cli.media.video import Frame, FrameReader, VideoInfo, probe, read_frames
from facecycle_cli.media.video_writer import VIDEO_FORMATS, VideoWriter, open_video

__all__ = [
    "IMAGE_FORMATS",
    "VIDEO_FORMATS",
    "Frame",
    "FrameReader",
    "Input",
    "Provenance",
    "VideoInfo",
    "VideoWriter",
    "encode_image",
    "expand_inputs",
    "is_animation",
    "is_still",
    "open_video",
    "probe",
    "read_frames",
    "read_image",
    "read_provenance",
    "write_image",
]
