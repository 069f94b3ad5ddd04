"""Who shows which expression, by the names of pictures."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import DataError
from facecycle_cli.media.posed import find_posed, parse_name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("k00/g_af01nes", ("F01", "neutral")),
        ("AM13/BM13HAS", ("M13", "HA")),
        ("001_neutral", ("001", "neutral")),
        ("x/001-Smiling", ("x/001", "smiling")),
        ("anna/neutral", ("anna", "neutral")),
        ("anna/fear_02", ("anna", "fear")),
        ("0001", None),
        ("k00/AF01NEFL", ("k00", None)),
    ],
)
def test_names(name, said):
    found = parse_name(name)
    if said is not None and said[1] is None:  # no frontal picture of KDEF
        assert found is None or found[1] != "neutral"
    else:
        assert found == said


def picture(value):
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(stream, "png")
    return stream.getvalue()


def test_a_folder_and_a_shard_hold_the_same(tmp_path):
    names = ["a/af01nes", "a/bf01has", "b/am02nes", "b/no name", "c/af03sus"]
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for i, name in enumerate(names):
            content = picture(10 * i)
            file = tmp_path / "folder" / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            member = tarfile.TarInfo(f"{name}.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    for data in (tmp_path / "folder", tmp_path / "shard.tar", tmp_path):
        found = find_posed(data)
        said = [(p.person, p.expression, int(p.read()[0, 0, 0])) for p in found]
        assert said == [("F01", "neutral", 0), ("F01", "HA", 10)]  # the others lack one of both


def test_nobody_is_an_error(tmp_path):
    (tmp_path / "001_smiling.png").write_bytes(picture(1))
    with pytest.raises(DataError, match="nobody with a neutral picture and another one"):
        find_posed(tmp_path)
    with pytest.raises(DataError, match=r"neither a folder nor a \.tar shard"):
        find_posed(tmp_path / "001_smiling.png")
    with pytest.raises(DataError, match="no such folder"):
        find_posed(tmp_path / "missing")
