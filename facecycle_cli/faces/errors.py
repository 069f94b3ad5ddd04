"""What can go wrong between a photograph and its faces."""

__all__ = ["FaceError", "NoFaceError"]


class FaceError(ValueError):
    """A face cannot be found, measured or aligned; the message is one line without a file name."""


class NoFaceError(FaceError):
    """The picture holds no face (or none that is large enough)."""
