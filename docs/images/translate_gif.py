"""Makes docs/images/translate.gif: a smile, a talker and a turning head, and three faces with it.

python docs/images/translate_gif.py
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from facecycle_cli import load
from facecycle_cli.faces import Alignment, load_backend
from facecycle_cli.media import Provenance, ffmpeg, open_video, probe, read_frames, read_image
from facecycle_cli.media.provenance import add_gif_comment
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.video import Translation, translate_picture

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
TILE = 144
FPS = Fraction(12)


def column(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Frames as square tiles around where the face is over all of them."""
    backend = load_backend()
    found = [faces[0] for faces in backend.detect(frames[::6]) if faces]
    points = np.median([face.five_points for face in found], axis=0)
    placed = Alignment.from_points(points, TILE)
    return [placed.crop(frame) for frame in frames]


def scene(source: Path, targets: list[Path], speed: Fraction) -> list[np.ndarray]:
    """The source on the left, the targets beside it."""
    with read_frames(source) as reader:
        frames = [frame.image for frame in reader]
    columns = [column(frames)]
    model = load()
    for target in targets:
        with Translation(iter(frames), read_image(target), fps=float(speed), model=model) as made:
            columns.append(
                [cv2.resize(f, (TILE, TILE), interpolation=cv2.INTER_AREA) for f in made]
            )
    rows = [np.hstack(tiles) for tiles in zip(*columns, strict=True)]
    wanted = round(len(rows) * FPS / speed)
    return [rows[min(len(rows) - 1, round(i * speed / FPS))] for i in range(wanted)]


def smile(source: Path, targets: list[Path]) -> list[np.ndarray]:
    """The targets as photographed, and then with the smile of the source on the left."""
    settings = TranslateSettings(size=2 * TILE)
    smiling, model = read_image(source), load()
    tiles = [column([smiling])[0]], [column([smiling])[0]]
    for target in targets:
        photograph = read_image(target)
        made = translate_picture(smiling, photograph, model=model, settings=settings)
        tiles[0].append(column([photograph])[0])
        tiles[1].append(cv2.resize(made, (TILE, TILE), interpolation=cv2.INTER_AREA))
    before, after = (np.hstack(row) for row in tiles)
    return [before] * 6 + [after] * 18


def main() -> None:
    """Write the GIF."""
    talker, turner = EXAMPLES / "talker.mpg", EXAMPLES / "head_turn.gif"
    people = [EXAMPLES / "faces" / f"person{n}_neutral.jpg" for n in (1, 2, 5)]
    smilers = [EXAMPLES / "faces" / f"person{n}_neutral.jpg" for n in (1, 4, 5)]
    frames = smile(EXAMPLES / "faces" / "person2_smiling.jpg", smilers)
    frames += [f for clip in (talker, turner) for f in scene(clip, people, probe(clip).fps)]
    height, width = frames[0].shape[:2]
    target = HERE / "translate.gif"
    checkpoint = load().checkpoint
    note = Provenance("translate", checkpoint.sha256 if checkpoint else None)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mkv"
        with open_video(video, FPS, (width, height), provenance=None) as writer:
            for frame in frames:
                writer.write(frame)
        filters = (
            "split[a][b];[a]palettegen=max_colors=96[p];"
            "[b][p]paletteuse=dither=bayer:bayer_scale=4:diff_mode=rectangle"
        )
        done = ffmpeg.run(["-v", "error", "-y", "-i", str(video), "-vf", filters, str(target)])
        if done.returncode:
            raise SystemExit(done.stderr)
    add_gif_comment(target, note.to_json())


if __name__ == "__main__":
    main()
