"""Makes the still pictures of the README from examples/.

python docs/images/pictures.py                 # all that the embedded weights make
python docs/images/pictures.py CHECKPOINT      # the model card's comparison with other weights
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import facecycle_cli as fc
from facecycle_cli.faces import Alignment

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
TILE = 192
COLUMNS = 6


def crop(picture: np.ndarray, side: int = TILE) -> np.ndarray:
    """The face as the networks are shown it, (side, side, 3)."""
    return Alignment.from_face(backend.detect([picture])[0][0], side).crop(picture)


def write(name: str, command: str, rows: list[list[np.ndarray]], quality: int = 95) -> None:
    """A table of pictures, with the note that the lower rows are made."""
    table = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    made = fc.Provenance(command, None)
    fc.write_image(table, HERE / name, provenance=made, quality=quality)


def compare_training(checkpoint: str) -> None:
    """Smiles, and their neutral faces by the flows of ``checkpoint`` and of the embedded weights
    alone.
    """
    side = 128
    rows = [
        fc.neutralize_many(
            people, model=networks, backend=backend, size=side, motion_from="networks", mouth="flow"
        )
        for networks in (fc.load(checkpoint), model)
    ]
    write("self_supervised.jpg", "neutralize", [[crop(p, side) for p in people], *rows], 80)


if __name__ == "__main__":
    model, backend = fc.load(), fc.load_backend()
    people = [
        fc.read_image(EXAMPLES / f"faces/person{i}_smiling.jpg") for i in range(1, COLUMNS + 1)
    ]
    if sys.argv[1:]:
        compare_training(sys.argv[1])
        sys.exit()

    neutral = fc.neutralize_many(people, model=model, backend=backend, size=TILE)
    write("neutralize.jpg", "neutralize", [[crop(p) for p in people], neutral])

    with fc.read_frames(EXAMPLES / "head_turn.gif") as reader:
        frames = [frame.image for frame in reader]
    faces = [found[0] for found in backend.detect(frames) if found]
    frames = [f for f, found in zip(frames, backend.detect(frames), strict=True) if found]
    yaws = np.array([face.pose.yaw for face in faces])
    wanted = np.linspace(max(yaws.min(), -35), min(yaws.max(), 35), COLUMNS)
    turned = [frames[int(np.abs(yaws - yaw).argmin())] for yaw in wanted]
    frontal = fc.frontalize_many(turned, model=model, backend=backend, size=TILE)
    write("frontalize.jpg", "frontalize", [[crop(f) for f in turned], frontal])

    profile, aside = (frames[int(np.abs(yaws - yaw).argmin())] for yaw in (yaws.min(), 30))
    failures = [
        (profile, fc.frontalize(profile, model=model, backend=backend, size=TILE)),
        (aside, fc.frontalize(aside, model=model, backend=backend, size=TILE)),
        (people[0], fc.neutralize(people[0], model=model, backend=backend, size=TILE, mean=True)),
    ]
    rows = [[crop(photo) for photo, _ in failures], [result for _, result in failures]]
    write("failures.jpg", "frontalize and neutralize", rows)

    man, woman = fc.read_image(EXAMPLES / "faces/person4_neutral.jpg"), people[1]
    angles = [
        fc.frontalize(man, model=model, backend=backend, size=TILE, yaw=yaw, pitch=pitch)
        for yaw, pitch in ((-20, 0), (-10, 0), (10, 0), (20, 0), (0, 12), (0, -12))
    ]
    dials = [{"strength": 0.5}, {}, {"strength": 1.4}, {"only": "mouth"}, {"only": "eyes"}]
    networks = {"model": model, "backend": backend}
    smiles = [
        fc.translate_picture(
            woman, man, settings=fc.TranslateSettings(size=TILE, **dial), **networks
        )
        for dial in dials
    ]
    write("dials.jpg", "frontalize and translate", [angles, [crop(man), *smiles]])
