"""Colors as a screen shows them: HD without tags, HDR, BT.2020; interlaced frames."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.media import probe, read_frames, read_image, video, video_filters

from .videos import make

_BARS = ["-f", "lavfi", "-i", "smptehdbars=s={size}:d=0.2"]
_X264 = ["-c:v", "libx264", "-crf", "8", "-pix_fmt", "yuv420p"]

_BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv,format=yuv444p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
)


def _bars(size):
    return [part.format(size=size) for part in _BARS]


def _untagged(path, size, matrix):
    convert = f"format=rgb24,scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    plain = ["-bsf:v", "h264_metadata=matrix_coefficients=2"]
    return make(path, *_bars(size), "-vf", convert, *_X264, *plain)


@pytest.mark.parametrize(
    ("size", "matrix"), [("1280x720", "bt709"), ("1920x1080", "bt709"), ("720x576", "bt601")]
)
def test_colors_without_a_tag(tmp_path, size, matrix):
    path = _untagged(tmp_path / "plain.mp4", size, matrix)
    info = probe(path)
    assert info.color.matrix == "unknown"
    exact = make(tmp_path / "exact.mkv", *_bars(size), "-c:v", "ffv1", "-pix_fmt", "gbrp")
    wanted = next(read_frames(exact)).image.astype(int)
    got = next(read_frames(path)).image.astype(int)
    row = got.shape[0] // 4
    middle = slice(got.shape[1] // 14, None, got.shape[1] // 7)
    assert np.abs(got[row, middle] - wanted[row, middle]).max() <= 4


def test_hdr_with_missing_tags_is_read(tmp_path):
    """A camera that names the transfer alone."""
    tags = "format=yuv420p,setparams=color_trc=arib-std-b67"
    path = make(tmp_path / "hdr.mkv", *_bars("64x48"), "-vf", tags, *_X264)
    assert probe(path).color.is_hdr
    assert len(list(read_frames(path))) == 5


@pytest.mark.parametrize("transfer", ["arib-std-b67", "smpte2084"])
def test_hdr_is_mapped_to_the_range_of_a_screen(tmp_path, transfer):
    """A gray card and a white page that SDR shows at 119 and 235 look about so, not gray."""
    if not video.has_zscale():
        pytest.skip("this ffmpeg has no zscale")
    steps = "color=s=64x48:d=0.2:c=0x777777,drawbox=x=32:w=32:h=48:c=0xebebeb:t=fill"
    to_hdr = f"{_BT709},zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt2020,"
    to_hdr += f"zscale=t={transfer}:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    path = make(tmp_path / "hdr.mkv", "-f", "lavfi", "-i", steps, "-vf", to_hdr,
                "-c:v", "libx265", "-crf", "4", "-x265-params", "log-level=error")  # fmt: skip
    assert probe(path).color.is_hdr
    image = next(read_frames(path)).image.astype(int)
    gray, white = image[24, 16], image[24, 48]
    assert np.ptp(gray) <= 3
    assert 100 <= gray.mean() <= 150
    assert 200 <= white.mean() <= 255
    assert white.mean() - gray.mean() >= 80


def test_without_zscale_it_is_said(tmp_path, monkeypatch):
    tags = "format=yuv420p,setparams=color_trc=smpte2084"
    path = make(tmp_path / "hdr.mkv", *_bars("64x48"), "-vf", tags, *_X264)
    for module in (video, video_filters):
        monkeypatch.setattr(module, "has_zscale", lambda: False)
    reader = read_frames(path)
    assert len(list(reader)) == 5
    assert "HDR" in reader.warning


def test_wide_gamut_without_hdr(tmp_path):
    """BT.2020 colors come out as those of BT.709: more saturated numbers for the same red."""
    if not video.has_zscale():
        pytest.skip("this ffmpeg has no zscale")
    red = "color=s=64x48:d=0.2:c=0xb43c3c"
    wide = f"{_BT709},zscale=p=bt2020:t=bt709:m=bt2020nc:r=tv,format=yuv420p"
    path = make(tmp_path / "wide.mkv", "-f", "lavfi", "-i", red, "-vf", wide, *_X264)
    assert probe(path).color.primaries == "bt2020"
    got = next(read_frames(path)).image[24, 32].astype(int)
    assert np.abs(got - [0xB4, 0x3C, 0x3C]).max() <= 6


def test_interlaced_frames_have_no_combs(tmp_path):
    """A bar that moves 8 pixels between the two fields of a frame."""
    moving = "color=s=128x96:r=50:d=0.4,drawbox=x=8*n:w=24:h=96:c=white:t=fill"
    woven = f"{moving},interlace=scan=tff:lowpass=off"
    # drawbox draws the same in every frame: scroll does move.
    woven = "color=s=128x96:r=50:d=0.4,drawbox=x=16:w=24:h=96:c=white:t=fill,scroll=h=-0.0625,"
    path = make(tmp_path / "x.mpg", "-f", "lavfi", "-i", f"{woven}interlace=scan=tff:lowpass=off",
                "-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ilme+ildct")  # fmt: skip
    frames = [frame.image.astype(int) for frame in read_frames(path)]
    assert len(frames) == 10
    combs = [np.abs(np.diff(image[..., 1], axis=0)).max(0).mean() for image in frames[2:-2]]
    assert max(combs) < 25, "neighboring lines show the same moment"
    raw = make(tmp_path / "raw.mkv", "-i", str(path), "-vf", "setfield=prog", "-c:v", "ffv1")
    combed = [frame.image.astype(int) for frame in read_frames(raw)]
    assert np.abs(np.diff(combed[5][..., 1], axis=0)).max(0).mean() > 25


def test_progressive_frames_stay_as_they_are(tmp_path):
    path = make(tmp_path / "x.avi", "-f", "lavfi", "-i", "testsrc=s=64x48:d=0.2", "-c:v", "mpeg4")
    assert not probe(path).color.is_progressive, "the container does not say"
    plain = [frame.image for frame in read_frames(path)]
    info = probe(path)
    told = info.__class__(**{**vars(info), "color": info.color._replace(is_progressive=True)})
    same = [frame.image for frame in read_frames(path, info=told)]
    assert all((a == b).all() for a, b in zip(plain, same, strict=True))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.webp", {"lossless": True}),
        ("x.png", {}),
        ("x.avif", {"quality": 90}),
    ],
)
def test_transparent_animations_are_on_white_as_pictures_are(tmp_path, name, options):
    """AVIF has four tracks: a cover, its transparency, the frames, and theirs."""
    pictures = []
    for number in range(3):
        pixels = np.zeros((48, 64, 4), np.uint8)
        pixels[..., number] = 200
        pixels[:, 32:, 3] = 255
        pictures.append(Image.fromarray(pixels, "RGBA"))
    first, *others = pictures
    first.save(tmp_path / name, save_all=True, append_images=others, duration=100, **options)
    frames = list(read_frames(tmp_path / name))
    assert [frame.number for frame in frames] == [0, 1, 2]
    for number, frame in enumerate(frames):
        assert frame.image[24, 16].min() >= 250
        assert np.abs(frame.image[24, 48].astype(int) - 200 * np.eye(3)[number]).max() <= 12
    assert np.abs(frames[0].image.astype(int) - read_image(tmp_path / name)).mean() < 5


@pytest.mark.parametrize(
    ("pixels", "codec"), [("yuva444p10le", "prores_ks"), ("argb", "qtrle"), ("gbrap", "ffv1")]
)
def test_transparent_videos_are_on_white(tmp_path, pixels, codec):
    source = ["-f", "lavfi", "-i", f"color=red@0.5:s=64x48:d=0.4:r=10,format={pixels}"]
    frames = list(read_frames(make(tmp_path / "x.mov", *source, "-c:v", codec)))
    assert len(frames) == 4
    assert np.abs(frames[0].image.astype(int) - [255, 128, 128]).max() <= 6
