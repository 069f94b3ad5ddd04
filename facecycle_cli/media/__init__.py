"""Images and video in and out of the program, and the provenance tag on everything generated."""

from .errors import MediaError
from .files import Input, PendingFile, atomic_path, expand_inputs
from .images import IMAGE_FORMATS, RGBImage, encode_image, is_still, read_image, write_image
from .provenance import Provenance, read_provenance
from .video import Frame, FrameReader, VideoInfo, probe, read_frames
from .video_writer import VIDEO_FORMATS, VideoWriter, open_video

__all__ = [
    "IMAGE_FORMATS",
    "VIDEO_FORMATS",
    "Frame",
    "FrameReader",
    "Input",
    "MediaError",
    "PendingFile",
    "Provenance",
    "RGBImage",
    "VideoInfo",
    "VideoWriter",
    "atomic_path",
    "encode_image",
    "expand_inputs",
    "is_still",
    "open_video",
    "probe",
    "read_frames",
    "read_image",
    "read_provenance",
    "write_image",
]
