"""Sound never costs the video: every codec of the bundled ffmpeg into every container."""

from __future__ import annotations

import re

import numpy as np
import pytest

from facecycle_cli.media import audio, ffmpeg, open_video, probe, read_frames

from .videos import make, pattern

# Encoder, options, and the container that the source has.
_CODECS = {
    "aac": ("-c:a", "aac"),
    "aac_adts_in_ts": ("-c:a", "aac"),
    "ac3": ("-c:a", "ac3"),
    "eac3": ("-c:a", "eac3"),
    "dts": ("-c:a", "dca", "-strict", "-2", "-ar", "48000"),
    "truehd": ("-c:a", "truehd", "-strict", "-2", "-ar", "48000"),
    "mp2": ("-c:a", "mp2"),
    "mp3": ("-c:a", "libmp3lame"),
    "mp3_8khz": ("-c:a", "libmp3lame", "-ar", "8000"),
    "vorbis": ("-c:a", "libvorbis"),
    "opus": ("-c:a", "libopus"),
    "flac": ("-c:a", "flac"),
    "alac": ("-c:a", "alac"),
    "wavpack": ("-c:a", "wavpack"),
    "wmav1": ("-c:a", "wmav1"),
    "wmav2": ("-c:a", "wmav2"),
    "amr": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1", "-b:a", "12.2k"),
    "speex_rate_pcm": ("-c:a", "pcm_s16le", "-ar", "11025"),
    "pcm_s16be": ("-c:a", "pcm_s16be"),
    "pcm_s24le": ("-c:a", "pcm_s24le"),
    "pcm_f32le": ("-c:a", "pcm_f32le"),
    "pcm_u8": ("-c:a", "pcm_u8"),
    "pcm_mulaw": ("-c:a", "pcm_mulaw", "-ar", "8000"),
    "pcm_alaw": ("-c:a", "pcm_alaw", "-ar", "8000"),
    "adpcm_ms": ("-c:a", "adpcm_ms"),
    "adpcm_ima_wav": ("-c:a", "adpcm_ima_wav"),
    "adpcm_ima_qt": ("-c:a", "adpcm_ima_qt"),
    "s302m": ("-c:a", "s302m", "-strict", "-2", "-ar", "48000", "-ac", "2"),
    "aac_5.1_side": ("-c:a", "ac3", "-af", "aformat=channel_layouts=5.1(side)"),
    "flac_7.1": ("-c:a", "flac", "-af", "aformat=channel_layouts=7.1"),
    "pcm_16_channels": ("-c:a", "pcm_s16le", "-af", "aformat=channel_layouts=hexadecagonal"),
    "pcm_16_unnamed": ("-c:a", "pcm_s16le", "-af", "aeval=" + "|".join(["val(0)"] * 16)),
    "pcm_5_unnamed": ("-c:a", "pcm_s16le", "-af", "aeval=" + "|".join(["val(0)"] * 5)),
    "pcm_192khz": ("-c:a", "pcm_s16le", "-ar", "192000"),
}
_HOME = {
    "aac_adts_in_ts": "ts",
    "s302m": "ts",
    "wmav1": "asf",
    "wmav2": "asf",
    "amr": "3gp",
    "alac": "mov",
    "adpcm_ima_qt": "mov",
    "pcm_16_unnamed": "mov",
    "pcm_5_unnamed": "mov",
    "mp3_8khz": "avi",
    "adpcm_ms": "avi",
    "adpcm_ima_wav": "avi",
    "pcm_u8": "avi",
}
_FORMS = {
    "mp4": audio.MP4_SOUND,
    "mov": audio.MOV_SOUND,
    "mkv": audio.MATROSKA_SOUND,
    "webm": audio.WEBM_SOUND,
}


def _loudness(path, track=0) -> float:
    """Mean volume in dB; a sine at full level has about -21."""
    done = ffmpeg.run(
        [*("-i", str(path), "-map", f"0:a:{track}", "-af", "volumedetect", "-f", "null", "-")]
    )
    found = re.search(r"mean_volume: (-?[\d.]+) dB", done.stderr)
    assert found, done.stderr
    return float(found[1])


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codecs")
    made = {}

    def source(name):
        if name not in made:
            path = folder / f"{name}.{_HOME.get(name, 'mkv')}"
            video = ["-c:v", "mpeg4"] if path.suffix != ".ts" else ["-c:v", "mpeg2video"]
            made[name] = make(path, *pattern(rate="25", seconds=0.6), "-f", "lavfi", "-i",
                              "sine=d=0.6:r=48000,volume=8", *video, *_CODECS[name])  # fmt: skip
        return made[name]

    return source


def _pairs():
    """Every codec into every container; all but some for each codec are marked ``full``.

    WebM has layouts of its own, and MP4 and QuickTime take a few codecs as they are.
    """
    for number, codec in enumerate(_CODECS):
        first = list(_FORMS)[number % len(_FORMS)]
        for container in _FORMS:
            is_special = container == "webm" and re.search(r"[57]\.1|\d_(channels|unnamed)", codec)
            is_special = is_special or (container == "mp4" and codec in _FORMS["mp4"].copied)
            marks = () if container == first or is_special else pytest.mark.full
            yield pytest.param(codec, container, marks=marks)


@pytest.mark.parametrize(("codec", "container"), list(_pairs()))
def test_every_codec_into_every_container(sources, codec, container):
    source = sources(codec)
    sound, why = audio.extract_sound(source, _FORMS[container])
    assert why is None
    assert sound is not None
    assert _loudness(sound.path) > -40
    sound.close()


@pytest.mark.parametrize("container", [*_FORMS, "-"])
def test_a_video_with_its_sound(sources, tmp_path, capfdbinary, container):
    source = sources("aac_adts_in_ts")
    info = probe(source)
    target = "-" if container == "-" else tmp_path / f"x.{container}"
    black = np.zeros((48, 64, 3), np.uint8)
    with open_video(target, info.fps, (64, 48), provenance=None, audio_from=source) as writer:
        for _ in range(15):
            writer.write(black)
    assert writer.note is None
    if container == "-":
        target = tmp_path / "piped.mkv"
        target.write_bytes(capfdbinary.readouterr().out)
    written = probe(target)
    assert written.audio_codec == ("opus" if container == "webm" else "aac")
    if container != "-":  # what is written into a pipe does not know how long it will be
        assert written.duration == pytest.approx(0.6, abs=0.1)
    assert _loudness(target) > -40


def test_the_track_that_players_choose(tmp_path):
    silent = ["-f", "lavfi", "-i", "anullsrc=d=0.6"]
    path = make(tmp_path / "x.mkv", *pattern(rate="25", seconds=0.6), *silent, "-f", "lavfi", "-i",
                "sine=d=0.6,volume=8", "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:a", "aac",
                "-disposition:a:0", "0", "-disposition:a:1", "default")  # fmt: skip
    assert probe(path).audio_track == 1
    sound, _ = audio.extract_sound(path, audio.MP4_SOUND)
    assert _loudness(sound.path) > -40


def test_part_of_the_sound(sources):
    """Silence, then a tone: the tone is where the video says."""
    sound, _ = audio.extract_sound(sources("aac"), audio.MP4_SOUND, start=0.2, duration=0.3)
    done = ffmpeg.run(["-i", str(sound.path), "-f", "null", "-"])
    assert re.search(r"Duration: 00:00:00\.3\d", done.stderr)


def test_damaged_sound_leaves_the_video(sources, tmp_path):
    """Every second byte of the sound is noise: what can be kept is kept, and nothing fails."""
    path = tmp_path / "x.mkv"
    data = bytearray(sources("flac").read_bytes())
    rng = np.random.default_rng(0)
    for at in range(len(data) // 2, len(data) - 200, 2):
        data[at] = rng.integers(256)
    path.write_bytes(data)
    black = np.zeros((48, 64, 3), np.uint8)
    target = tmp_path / "o.mp4"
    with open_video(target, 25, (64, 48), provenance=None, audio_from=path) as writer:
        writer.write(black)
    assert probe(target).codec == "h264"


def test_damaged_packets_are_kept_and_are_no_damage_of_the_video(sources, tmp_path):
    """Players skip them; the video's own frames are whole."""
    path = make(tmp_path / "x.mp4", "-i", str(sources("aac")), "-c:v", "libx264", "-c:a", "copy",
                "-bsf:a", "noise=amount=3")  # fmt: skip
    sound, why = audio.extract_sound(path, audio.MP4_SOUND)
    assert why is None
    assert sound is not None
    reader = read_frames(path)
    assert len(list(reader)) == 15
    assert reader.warning is None


def test_sound_that_cannot_be_read_is_said(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "_write", lambda *_: "no decoder")
    target = tmp_path / "o.mp4"
    with open_video(target, 25, (64, 48), provenance=None, audio_from=sources("aac")) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    assert writer.note == "without sound: aac cannot be used (no decoder)"
    assert not probe(target).has_audio


def test_no_temporary_file_is_left(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(audio.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    target = tmp_path / "o.mp4"
    for fails in (False, True):
        try:
            with open_video(target, 25, (64, 48), provenance=None, audio_from=sources("aac")) as w:
                assert list((tmp_path / "temporary").iterdir())
                w.write(np.zeros((48, 64, 3), np.uint8))
                if fails:
                    raise KeyError
        except KeyError:
            pass
        assert not list((tmp_path / "temporary").iterdir())
