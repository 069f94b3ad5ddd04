"""The library as a user imports it: every subcommand as a function of arrays, from any thread."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import facecycle_cli as fc
from facecycle_cli.portrait import defaults
from tests.conftest import ROOT, run_process

PAGE = ROOT / "docs" / "api.md"


@pytest.fixture(scope="module")
def photos(examples) -> list[np.ndarray]:
    paths = sorted((examples / "faces").glob("*_smiling.jpg"))[:3]
    return [fc.read_image(path) for path in paths]


@pytest.fixture(scope="module")
def blank() -> np.ndarray:
    return np.full((90, 120, 3), 200, np.uint8)


def close(a, b):
    """Equal but for rounding: sums over batches of other sizes are added in another order."""
    return np.abs(np.asarray(a, int) - np.asarray(b, int)).max() <= 1


# -- names -----------------------------------------------------------------------------------------


def test_every_name_is_there_once():
    assert sorted(fc.__all__) == sorted(fc._HOMES)
    assert len(set(fc.__all__)) == len(fc.__all__) == sum(map(len, fc._MODULES.values()))
    for name in fc.__all__:
        value = getattr(fc, name)
        assert value.__name__ == name if hasattr(value, "__name__") else name.isupper()


def test_dir_lists_public_names_and_unknown_names_are_errors():
    assert set(fc.__all__) <= set(dir(fc))
    assert fc.read_image.__module__ == "facecycle_cli.media.images"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fc.nonsense


ORDERS = """
import facecycle_cli.verify.metrics, facecycle_cli.translate, facecycle_cli.preprocess
import facecycle_cli.verify, facecycle_cli.translate.video, facecycle_cli.preprocess.run
from facecycle_cli.verify.pairs import Pair; from facecycle_cli import translate as t
fc.verify, fc.translate, fc.preprocess; from facecycle_cli.verify import metrics as m
"""

NOTHING_BEFORE = """
import sys, facecycle_cli as fc
assert not {'torch', 'cv2', 'numpy'} & set(sys.modules)
fc.read_image
assert 'torch' not in sys.modules
fc.neutralize
assert 'sklearn' not in sys.modules and 'matplotlib' not in sys.modules
"""

IN_EVERY_ORDER = """
def ours():
    return [name for name in sys.modules if name.partition(".")[0] == "facecycle_cli"]
for first in filter(None, sys.argv[1].split("\\n")):
    for name in ours():  # torch and its like stay: they cost seconds
        del sys.modules[name]
    assert not ours()
    scope = {}
    exec("import facecycle_cli as fc; " + first, scope)
    fc = scope["fc"]
    for name in ("verify", "translate", "preprocess", "encode"):
        assert type(getattr(fc, name)).__name__ == "function", (first, name)
        assert getattr(fc, name).__name__ == name
    from facecycle_cli.verify.metrics import verification_metrics
    assert fc.verification_metrics is verification_metrics
    print(first)
"""


def test_names_load_what_they_need_and_verbs_stay_functions_whatever_is_imported_first():
    """In one process, which imports torch once."""
    done = run_process([sys.executable, "-c", NOTHING_BEFORE + IN_EVERY_ORDER, ORDERS])
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split("\n") == ORDERS.split("\n")[1:]


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(fc.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == sorted(fc._HOMES) == sorted(fc.__all__)
    for name, origin in seen.items():
        module, attribute = origin.rsplit(".", 1)
        found = getattr(fc, name)  # which imports the module
        assert getattr(sys.modules[module], attribute) is found


# -- one picture and many -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "many"), [(fc.neutralize, fc.neutralize_many), (fc.frontalize, fc.frontalize_many)]
)
def test_many_give_what_each_picture_gives(one, many, photos, blank):
    found = many([photos[0], blank, photos[1]], size=128)
    assert [None if r is None else r.shape for r in found] == [(128, 128, 3), None, (128, 128, 3)]
    assert close(found[0], one(photos[0], size=128))
    assert close(found[2], one(photos[1], size=128))
    assert many([]) == []
    pasted = many(iter(photos[:2]), faces="all", paste_back=True)
    assert [picture.shape for picture in pasted] == [photo.shape for photo in photos[:2]]
    assert close(pasted[1], one(photos[1], faces="all", paste_back=True))


def test_more_pictures_than_are_looked_at_once(photos, monkeypatch):
    from facecycle_cli.portrait import portraits

    monkeypatch.setattr(portraits, "_BATCH", 2)
    found = fc.neutralize_many(photos, size=64)
    assert len(found) == 3
    assert close(found[2], fc.neutralize(photos[2], size=64))


@pytest.mark.parametrize("call", [fc.neutralize, fc.frontalize])
def test_a_picture_without_a_face_is_an_error(call, blank):
    with pytest.raises(fc.NoFaceError, match="no face found"):
        call(blank)


def test_all_faces_give_one_picture_only_if_they_are_put_back(photos):
    for call in (fc.neutralize, fc.frontalize, fc.neutralize_many, fc.frontalize_many):
        with pytest.raises(fc.FacecycleError, match="only with paste_back=True") as caught:
            call(photos[0] if "many" not in call.__name__ else photos, faces="all")
        assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (np.zeros((8, 8), np.uint8), r"uint8 \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"uint8 \(8, 8, 4\)"),
        (np.zeros((8, 8, 3)), r"float64 \(8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8 \(0, 8, 3\)"),
    ],
)
def test_what_is_no_picture_is_said(wrong, what):
    with pytest.raises(ValueError, match=f"picture must be uint8 RGB .*{what}"):
        fc.neutralize(wrong)
    with pytest.raises(ValueError, match="picture 1 must be"):
        fc.frontalize_many([np.zeros((8, 8, 3), np.uint8), wrong])


def test_verify_compares_two_and_many(photos, examples):
    other = fc.read_image(examples / "faces" / "person1_neutral.jpg")
    alone = fc.verify(photos[0], other)
    both = fc.verify_many([photos[0], photos[1]], [other, other])
    assert both[0].similarity == pytest.approx(alone.similarity, abs=1e-5)
    assert both[0].similarity > both[1].similarity
    with pytest.raises(ValueError, match="2 pictures cannot be compared with 1"):
        fc.verify_many(photos[:2], [other])


# -- threads ---------------------------------------------------------------------------------------


def test_threads_share_the_networks_and_do_not_disturb_each_other(photos):
    """Cold: the threads also race for who opens the networks."""
    defaults._model.cache_clear()
    defaults._backend.cache_clear()
    calls = [(fc.neutralize, p) for p in photos] + [(fc.frontalize, p) for p in photos]
    with ThreadPoolExecutor(len(calls)) as pool:
        together = list(pool.map(lambda call: call[0](call[1], size=128), calls * 2))
    assert defaults._model.cache_info().misses == 1
    assert defaults._backend.cache_info().misses == 1
    alone = [function(photo, size=128) for function, photo in calls]
    for found, expected in zip(together, alone * 2, strict=True):
        assert np.array_equal(found, expected)


def test_threads_with_seeds_of_their_own(photos):
    """A model of one's own is for what is changed about it."""
    crop = fc.face_crop(photos[0], fc.CropSettings(64), fc.load_backend())[None]
    models = [fc.load() for _ in range(3)]
    for seed, model in enumerate(models):
        model.seed = seed
    expected = [fc.neutralize_crops(model, crop) for model in models]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            found = list(pool.map(lambda model: fc.neutralize_crops(model, crop), models))
            for ours, theirs in zip(found, expected, strict=True):
                assert np.array_equal(ours, theirs)


# -- the page --------------------------------------------------------------------------------------


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_names_every_function():
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in fc.__all__ if f"fc.{name}" not in text] == []


@pytest.mark.slow
def test_the_pages_snippets_run_one_after_the_other(examples, tmp_path, monkeypatch, capsys):
    pytest.importorskip("skimage", reason="needs the extra evaluate")
    for name, source in {
        "photo.jpg": "faces/person1_smiling.jpg",
        "other.jpg": "faces/person1_neutral.jpg",
        "stranger.jpg": "faces/person2_neutral.jpg",
        "clip.gif": "head_turn.gif",
    }.items():
        (tmp_path / name).write_bytes((examples / source).read_bytes())
    monkeypatch.chdir(tmp_path)
    code = "\n".join(snippets())
    with warnings.catch_warnings():
        warnings.simplefilter("error", SyntaxWarning)
        compiled = compile(code, PAGE.name, "exec")
    exec(compiled, {"__name__": "snippets"})
    printed = capsys.readouterr().out.splitlines()
    for line in re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE):
        assert line in printed
    for written in re.findall(r'"([\w/]+\.(?:png|safetensors))"', code):
        assert (tmp_path / written).exists(), written
