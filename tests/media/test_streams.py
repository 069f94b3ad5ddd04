"""What may be opened as a picture: files, and pipes that the user names, up to a limit."""

from __future__ import annotations

import os
import socket
import sys

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import MediaError
from facecycle_cli.media import is_still, read_image, streams
from tests.media.pictures import encoded

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")


@needs_posix
def test_devices_pipes_and_sockets_are_no_pictures(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "socket.png"))
        (tmp_path / "link.png").symlink_to("fifo.png")
        names = [tmp_path / f"{name}.png" for name in ("fifo", "socket", "link")]
        for name in [*names, "/dev/zero", "/dev/null"]:
            with pytest.raises(MediaError, match=r"^not a regular file$"):
                read_image(name)
            assert not is_still(name)


@needs_posix
def test_a_pipe_that_the_user_names_is_read_once_and_to_a_limit(photo, monkeypatch):
    data = encoded(Image.fromarray(photo))

    def piped(give) -> np.ndarray:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        try:
            return give(f"/dev/fd/{reader}")
        finally:
            os.close(reader)

    assert np.array_equal(piped(lambda name: is_still(name) and read_image(name)), photo)
    monkeypatch.setattr(streams, "PIPE_BYTES", len(data) - 1)
    with pytest.raises(MediaError, match="from a pipe"):
        piped(read_image)


@needs_posix
def test_an_endless_stream_ends(monkeypatch):
    monkeypatch.setattr(streams, "PIPE_BYTES", 1 << 21)
    with open("/dev/zero", "rb") as endless, pytest.raises(MediaError, match="from a pipe"):
        read_image(endless)
