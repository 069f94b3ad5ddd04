"""What this floor raises."""


class MediaError(ValueError):
    """A picture or video that cannot be read or written; one line, without the file's name."""
