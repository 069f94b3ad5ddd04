"""What a video of a stranger can do: open other files, take all memory, never end."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import psutil
import pytest
from PIL import Image

from facecycle_cli.errors import MediaError
from facecycle_cli.media import ffmpeg, open_video, probe, read_frames
from facecycle_cli.media.ffmpeg import read_metadata

from .videos import children, make, pattern

_DASH = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"
 profiles="urn:mpeg:dash:profile:full:2011" minBufferTime="PT1S"><Period><AdaptationSet
 mimeType="video/mp4"><Representation id="1" bandwidth="1" width="64" height="48">
<BaseURL>{0}</BaseURL><SegmentList><SegmentURL media="{0}"/></SegmentList>
</Representation></AdaptationSet></Period></MPD>"""
_HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n"
_CONCAT = "ffconcat version 1.0\nfile '{0}'\n"
_IMF = '<?xml version="1.0"?><AssetMap><AssetList><Path>{0}</Path></AssetList></AssetMap>'
_SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"


@pytest.mark.parametrize("suffix", ["mp4", "gif", "m3u8", "ffconcat"])
@pytest.mark.parametrize(
    "text", [_DASH, _HLS, _CONCAT, _IMF, _SDP], ids="dash hls concat imf sdp".split()
)
def test_no_playlist_is_followed(tmp_path, clip, suffix, text):  # fmt: skip
    private = tmp_path / "private.mp4"
    private.write_bytes(clip.read_bytes())
    for name in (str(private), private.name, f"file:{private}", f"fd:{private}"):
        playlist = tmp_path / f"upload.{suffix}"
        playlist.write_text(text.format(name))
        for look in (probe, read_frames, read_metadata):
            with pytest.raises(MediaError, match="not a "):
                look(playlist)
        with pytest.raises(MediaError):
            open_video(tmp_path / "o.mp4", probe(clip).fps, (64, 48), provenance=None,
                       audio_from=playlist)  # fmt: skip
        assert not (tmp_path / "o.mp4").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_no_special_file_is_read(tmp_path, kind):
    path = tmp_path / "x.mp4"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for look in (probe, read_frames, read_metadata):
        with pytest.raises(MediaError, match="not a regular file"):
            look(path)


@pytest.mark.parametrize("suffix", ["gif", "webp", "apng", "png"])
def test_frames_of_gigabytes_are_refused(tmp_path, suffix):
    path = tmp_path / f"screen.{suffix}"
    frames = [Image.new("L", (8000, 4800), shade) for shade in (0, 60)]
    kind = "PNG" if suffix.endswith("png") else None
    quickly = {"webp": {"method": 0, "quality": 0}}.get(suffix, {"compress_level": 1})
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], **quickly)
    with pytest.raises(MediaError, match="8000x4800 pixels; at most 37 megapixels"):
        probe(path)


def test_a_larger_frame_in_the_middle_is_dropped(tmp_path):
    """A limit that looked at the first frame alone would be none."""
    small = make(tmp_path / "a.mjpeg", *pattern(), "-frames:v", "3").read_bytes()
    large = make(tmp_path / "b.mjpeg", *pattern("8000x5000"), "-frames:v", "1").read_bytes()
    (tmp_path / "x.mjpeg").write_bytes(small + large + small)
    reader = read_frames(tmp_path / "x.mjpeg")
    assert len(list(reader)) == 6
    assert "8000x5000" in reader.warning


def test_pixels_as_wide_as_a_screen_are_refused(tmp_path):
    """The frame is small as it is stored, and takes gigabytes as it is shown."""
    path = make(tmp_path / "x.mp4", *pattern("960x720"), "-vf", "setsar=100", "-frames:v", "2")
    with pytest.raises(MediaError, match="96000x720 pixels; at most 37 megapixels"):
        probe(path)


@pytest.fixture
def paused(tmp_path):
    """Five frames, a pause of nine hours, and five more."""
    path = tmp_path / "gap.mp4"
    times = "if(lt(N,5),N,N+9*3600*25)/25/TB"
    return make(path, *pattern(rate="25"), "-vf", f"setpts='{times}'", "-fps_mode", "vfr",
                "-frames:v", "10", "-pix_fmt", "yuv420p")  # fmt: skip


def test_a_gap_is_held_as_one_frame(paused, tmp_path):
    reader = read_frames(paused)
    numbers = [frame.number for frame in reader]
    late = 9 * 3600 * 25
    assert numbers == [0, 1, 2, 3, 4, *range(late + 5, late + 10)]
    assert reader.warning == "a gap of 9:00:00 at 0:00 is held as one frame"
    assert len(list(read_frames(paused, fps=5))) == 2

    # ... and written as one.
    copy = tmp_path / "copy.mp4"
    with open_video(copy, reader.fps, reader.size, provenance=None) as writer:
        for frame in read_frames(paused):
            writer.write(frame.image, frame.number)
    assert [frame.number for frame in read_frames(copy)] == numbers
    assert copy.stat().st_size < 100_000


def test_a_gap_between_the_frames_of_a_folder(tmp_path):
    black = np.zeros((8, 8, 3), np.uint8)
    frames = [(0, black), (3, black + 90), (2000, black + 200)]
    with open_video(f"{tmp_path}/frames/", 25, (8, 8), provenance=None) as writer:
        for number, frame in frames:
            writer.write(frame, number)
    shades = [np.asarray(Image.open(p))[0, 0, 0] for p in sorted((tmp_path / "frames").iterdir())]
    assert shades == [0, 0, 0, 90, 200], "a short gap is filled, a long one is said"
    assert "a gap between them is lost" in writer.note


def test_times_that_begin_again_go_on(tmp_path):
    """Recordings one after the other in one transport stream: the times start at zero again."""
    part = make(tmp_path / "a.ts", *pattern(rate="25"), "-frames:v", "25", "-c:v", "mpeg2video")
    (tmp_path / "x.ts").write_bytes(part.read_bytes() * 2)
    numbers = [frame.number for frame in read_frames(tmp_path / "x.ts")]
    assert len(numbers) >= 49
    assert numbers == list(range(len(numbers)))


def test_memory_of_a_gap(paused):
    """Neither here nor in ffmpeg."""
    before = children()
    with read_frames(paused) as reader:
        next(reader)
        (ffmpeg_process,) = children() - before
        sizes = [psutil.Process(ffmpeg_process).memory_info().rss for _ in reader]
    assert max(sizes) < 400e6


def test_old_ffmpeg_without_descriptors(clip, monkeypatch):
    """Before 6.0 it has no protocol for an open file: then it gets the name of the descriptor."""
    if sys.platform == "win32":
        pytest.skip("descriptors are not passed on")
    monkeypatch.setattr(ffmpeg, "_takes_descriptors", lambda: False)
    assert len(list(read_frames(clip))) == 30


def test_ffmpeg_sees_no_name(clip, monkeypatch):
    """The whole command line: nothing in it that a file's name could change."""
    seen = []

    class Popen(subprocess.Popen):
        def __init__(self, command, **options):
            seen.extend(command)
            super().__init__(command, **options)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    list(read_frames(clip, start=0.3, duration=0.2))
    assert seen
    assert clip.name not in " ".join(seen)
