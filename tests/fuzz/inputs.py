"""Read thousands of damaged files: each gives a result or one of our errors, in one line, in time.

    python -m tests.fuzz.inputs --cases 10000 --seed 1

Pictures, videos, tables (lists of pairs, FER's CSV, indexes, MAT files, arrays) and checkpoints are
made small and whole, and then damaged: bytes are changed, cut out, repeated, moved, made extreme.
Each is read by the function that the commands call. Wrong are: an exception that is none of ours or
the system's, a message of more than one line, a result that is not what was promised, and more than
half a minute. The number of cases of each kind, what became of them, and the memory after them are
printed; the exit code is 1 if anything is wrong, and the case is kept.

``test_inputs.py`` runs a small part of this in pytest.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from safetensors.torch import save as to_safetensors

from facecycle_cli.errors import FacecycleError
from facecycle_cli.evaluation.expression_data import load_expressions
from facecycle_cli.evaluation.pose_data import load_poses
from facecycle_cli.media import ffmpeg, read_frames, read_image, read_provenance
from facecycle_cli.model import load
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.verify.lists import read_pairs

SECONDS = 30.0
"""More than that for a file of some kilobytes is a hang."""

FORMAT1 = Path(__file__).parent.parent / "model" / "data" / "format1_small.safetensors"

Read = Callable[[Path], None]


@dataclass
class Kind:
    """Files of one kind.

    Attributes:
        seeds: whole files: name and bytes.
        read: reads a damaged one; raises AssertionError if the result is wrong.
        share: of all cases.
    """

    seeds: list[tuple[str, bytes]]
    read: Read
    share: float


@dataclass
class Outcome:
    """What became of the cases of a kind."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


# --- Damage


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to four changes."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not result:
            break
        # Headers decide more than what follows them.
        end = min(len(result), rng.choice((16, 64, 512, len(result))))
        at = rng.randrange(end)
        length = min(rng.choice((1, 2, 4, 8, 64, 1024)), len(result) - at)
        change = rng.randrange(8)
        if change == 0:
            result[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            result[at : at + length] = rng.randbytes(length)
        elif change == 2:
            del result[at:]
        elif change == 3:
            del result[at : at + length]
        elif change == 4:
            result[at:at] = result[at : at + length] * rng.randint(1, 4)
        elif change == 5:
            result[at : at + length] = bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * length
        elif change == 6:
            number = rng.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1))
            code = rng.choice((">H", "<H", ">I", "<I", ">Q", "<Q"))
            size = struct.calcsize(code)
            result[at : at + size] = struct.pack(code, number & ((1 << 8 * size) - 1))
        else:
            other = rng.randrange(len(result))
            result[at : at + length] = result[other : other + length]
    return bytes(result)


_CELLS = (
    *("", "²", "\0", "9" * 4300, "-1", "1e999", "nan", "\ud800", "a" * 300, '"', "\r"),
    *("../x", "/dev/zero", "{", "٣"),
)


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    """As :func:`damaged`, or with strange cells, or in another encoding."""
    if rng.random() < 0.4:
        return damaged(data, rng)
    text = data.decode()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.randint(0, 6))
        text = text[:at] + rng.choice(_CELLS) + text[end:]
    encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    return text.encode(encoding, "replace")


# --- Whole files


def _pictures() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    forms: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "x.jpg": (color, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06"}),
        "x.png": (color.convert("RGBA"), {}),
        "grey16.png": (Image.fromarray(rng.integers(0, 65536, (24, 32), np.uint16)), {}),
        "x.gif": (color.convert("P"), {"save_all": True, "append_images": [color.convert("P")]}),
        "x.webp": (color, {"lossless": True}),
        "x.tif": (color, {"compression": "tiff_lzw"}),
        "x.bmp": (color, {}),
        "x.jp2": (color, {}),
        "x.tga": (color, {"compression": "tga_rle"}),
        "x.ppm": (color, {}),
        "x.ico": (color.resize((16, 16)), {}),
        "x.avif": (color, {"speed": 10}),
        "cmyk.jpg": (color.convert("CMYK"), {}),
        "mpo.mpo": (color, {"save_all": True, "append_images": [color]}),
    }
    names = {".jpg": "JPEG", ".tif": "TIFF", ".jp2": "JPEG2000"}
    for name, (image, options) in forms.items():
        suffix = Path(name).suffix
        buffer = io.BytesIO()
        image.save(buffer, names.get(suffix, suffix[1:].upper()), **options)
        yield name, buffer.getvalue()


def _videos(folder: Path) -> Iterator[tuple[str, bytes]]:
    source = ["-f", "lavfi", "-i", "testsrc=s=32x24:r=10:d=0.5", "-f", "lavfi", "-i", "sine=d=0.5"]
    forms = {
        "x.mp4": ["-c:v", "libx264", "-pix_fmt", "yuv420p"],
        "x.mkv": ["-c:v", "mpeg4"],
        "x.webm": ["-c:v", "libvpx"],
        "x.avi": ["-c:v", "mpeg4"],
        "x.ts": ["-c:v", "mpeg2video"],
        "x.mpg": ["-c:v", "mpeg1video", "-r", "25"],
        "x.flv": ["-c:v", "flv1", "-ar", "44100"],
        "x.gif": ["-map", "0:v"],
        "x.wmv": [],
    }
    for name, options in forms.items():
        path = folder / name
        done = ffmpeg.run([*source, *options, "-y", str(path)])
        assert done.returncode == 0, done.stderr
        yield name, path.read_bytes()


def _tables() -> Iterator[tuple[str, bytes]]:
    yield "lfw.txt", b"2\t2\n" + b"A_B\t1\t2\nC\t3\t4\nA_B\t1\tC\t2\nC\t1\tD\t1\n" * 2
    yield "pairs.csv", b"file1,file2,label,fold\na.jpg,b.jpg,1,0\na.jpg,c.jpg,0.0,1\n"
    yield "vox.txt", b"1 id1/a/1.jpg id1/b/2.jpg\n0 id1/a/1.jpg id2/b/2.jpg\n"
    pixels = " ".join(["7"] * 2304)
    rows = "".join(f"{n % 7},{pixels},{'Training' if n % 3 else 'PublicTest'}\n" for n in range(9))
    yield "fer.csv", f"emotion,pixels,Usage\n{rows}".encode()
    lines = [
        {"path": f"p{n}/v/0001/{n:06d}.jpg", "source": "v.mp4", "identity": f"p{n}", "yaw": n,
         "pitch": 1.5, "roll": -2, "sharpness": 9.0, "score": 0.9, "frame": n, "time": n / 5}
        for n in range(4)
    ]  # fmt: skip
    lines.append({"source": "v.mp4", "status": "done"})
    yield "index.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()
    arrays = {
        "images": np.zeros((9, 48, 48), np.uint8),
        "labels": np.arange(9) % 3,
        "split": np.array(["train", "test", "train"] * 3),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    yield "fer.npz", buffer.getvalue()
    try:
        from scipy.io import savemat
    except ImportError:  # of an extra
        return
    buffer = io.BytesIO()
    savemat(buffer, {"Pose_Para": np.arange(7.0)[None] / 10}, do_compression=True)
    yield "pose.mat", buffer.getvalue()


def _checkpoints() -> Iterator[tuple[str, bytes]]:
    yield "format1.safetensors", FORMAT1.read_bytes()
    yield "foreign.safetensors", to_safetensors({"w": torch.zeros(3)}, {"format": "pt"})
    buffer = io.BytesIO()
    torch.save({"state": {"w": torch.zeros(3)}}, buffer)
    yield "pickled.pt", buffer.getvalue()


# --- Reading


def _read_picture(path: Path) -> None:
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3


def _read_video(path: Path) -> None:
    with suppress(FacecycleError):
        read_provenance(path)
    last = -1
    with read_frames(path, max_frames=30) as reader:
        for frame in reader:
            assert frame.number > last
            last = frame.number
            assert frame.image.shape == (reader.size[1], reader.size[0], 3)


def _read_table(path: Path) -> None:
    if path.suffix == ".npz" or path.name == "fer.csv":
        load_expressions(path)
    elif path.suffix == ".mat":
        Image.new("RGB", (9, 9)).save(path.with_suffix(".jpg"))
        load_poses(path.parent)
    elif path.suffix == ".jsonl":
        for n in range(4):
            crop = path.parent / f"p{n}" / "v" / "0001" / f"{n:06d}.jpg"
            crop.parent.mkdir(parents=True, exist_ok=True)
            crop.touch()
        find_crops([path.parent])
        load_poses(path)
    else:
        for pair in read_pairs(path):
            assert pair.same in (True, False, None)


def _read_checkpoint(path: Path) -> None:
    model = load(path)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def kinds(folder: Path) -> dict[str, Kind]:
    """All kinds; ``folder`` is for files in between."""
    return {
        "pictures": Kind(list(_pictures()), _read_picture, 0.45),
        "tables": Kind(list(_tables()), _read_table, 0.35),
        "checkpoints": Kind(list(_checkpoints()), _read_checkpoint, 0.15),
        "videos": Kind(list(_videos(folder)), _read_video, 0.05),
    }


def run(kind: Kind, cases: int, rng: random.Random, kept: Path) -> Outcome:
    """Read so many damaged files. Those that go wrong are written into ``kept``."""
    outcome = Outcome()
    for number in range(cases):
        name, data = kind.seeds[number % len(kind.seeds)]
        is_text = name.endswith((".txt", ".csv", ".jsonl"))
        content = (damaged_text if is_text else damaged)(data, rng)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            started = time.monotonic()
            problem = None
            try:
                kind.read(path)
                outcome.counts["read"] += 1
            except (FacecycleError, OSError) as error:
                outcome.counts["refused"] += 1
                if not str(error) or "\n" in str(error) or len(str(error)) > 1000:
                    problem = f"not one line: {error!r}"
            except MemoryError:
                problem = "it asks for more memory than there is"
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            if time.monotonic() - started > SECONDS:
                problem = f"{time.monotonic() - started:.0f} s"
        if problem is not None:
            kept.mkdir(parents=True, exist_ok=True)
            (kept / f"{number:06d}_{name}").write_bytes(content)
            outcome.wrong.append(f"{number:06d}_{name}: {problem}"[:300])
    return outcome


def main() -> int:
    """Run all kinds and print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one kind")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in kinds(Path(folder)).items():
            if arguments.only not in (None, name):
                continue
            cases = round(arguments.cases * kind.share)
            started = time.monotonic()
            outcome = run(kind, cases, random.Random(arguments.seed), arguments.keep / name)
            seconds = time.monotonic() - started
            memory = psutil.Process().memory_info().rss / 2**20
            counts = ", ".join(f"{count} {what}" for what, count in outcome.counts.items())
            sys.stdout.write(f"{name}: {cases} cases, {counts}, {len(outcome.wrong)} wrong")
            sys.stdout.write(f", {seconds:.0f} s, {memory:.0f} MB\n")
            sys.stdout.writelines(f"  {line}\n" for line in outcome.wrong)
            failed = failed or bool(outcome.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
