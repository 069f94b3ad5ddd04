"""Lists of pairs, in the real sets' formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.verify.lists import parse_pairs, read_pairs
from facecycle_cli.verify.pairs import Pair

# The beginning of LFW's own list, in its layout: tabs, and folds of 300 cut down to 1.
LFW = """2\t1
Abel_Pacheco\t1\t4
Abdel_Madi_Shabneh\t1\tDean_Barker\t1
Akhmed_Zakayev\t1\t3
Abdul_Rahman\t1\tPortia_de_Rossi\t1
"""


def test_lfw(tmp_path):
    pairs = parse_pairs(LFW, tmp_path)
    assert pairs[0] == Pair(
        str(tmp_path / "Abel_Pacheco/Abel_Pacheco_0001.jpg"),
        str(tmp_path / "Abel_Pacheco/Abel_Pacheco_0004.jpg"),
        same=True,
        fold=0,
    )
    assert pairs[3].b == str(tmp_path / "Portia_de_Rossi/Portia_de_Rossi_0001.jpg")
    assert [(p.same, p.fold) for p in pairs] == [(True, 0), (False, 0), (True, 1), (False, 1)]


def test_lfw_has_300_pairs_of_a_kind_in_each_of_ten_folds(tmp_path):
    lines = ["10\t300"]
    for fold in range(10):
        lines += [f"Same_{fold}\t{i + 1}\t{i + 2}" for i in range(300)]
        lines += [f"One_{fold}\t{i + 1}\tOther_{fold}\t{i + 1}" for i in range(300)]
    pairs = parse_pairs("\r\n".join(lines) + "\r\n", tmp_path)
    assert len(pairs) == 6000
    for fold in range(10):
        members = [p for p in pairs if p.fold == fold]
        assert (len(members), sum(bool(p.same) for p in members)) == (600, 300)
        assert all(f"_{fold}" in p.a for p in members)


def test_lfw_development_list_has_no_folds(tmp_path):
    pairs = parse_pairs("1\nA\t1\t2\nA\t1\tB\t1\n", tmp_path)
    assert [(p.same, p.fold) for p in pairs] == [(True, None), (False, None)]


def test_lfw_as_csv(tmp_path):
    pairs = parse_pairs("name,imagenum1,imagenum2,\nA_B,1,4,\nA_B,1,C_D,2\n", tmp_path)
    assert [Path(p.b).name for p in pairs] == ["A_B_0004.jpg", "C_D_0002.jpg"]


def test_lfw_finds_other_suffixes_and_a_flat_folder(tmp_path):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "A_0001.png").touch()
    (tmp_path / "B_0002.jpg").touch()
    (pair,) = parse_pairs("A 1 B 2", tmp_path)
    assert (Path(pair.a), Path(pair.b)) == (tmp_path / "A/A_0001.png", tmp_path / "B_0002.jpg")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "2\t1\nA\t1\t2\nA\t1\tB\t1\n",
            r"announces 4 pairs \(1 and 1 in each of 2 folds\), and the list has 2",
        ),
        ("1\nA\t1\t2\nA\tone\ttwo\n", "line 3: neither"),
        ("", "empty"),
        ("path_a,path_b,same\na.jpg,b.jpg,perhaps\n", "line 2: same is 'perhaps'"),
        ("path_a,path_b,same,fold\na.jpg,b.jpg,1,x\n", "line 2: fold is 'x'"),
        ("a.jpg,\n", "line 1: a pair needs two pictures"),
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", "line 3: the second line"),
        ("a.jpg 1\nb.jpg 0\n", "line 2: the two lines of a pair have different flags"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        parse_pairs(text, tmp_path)


def test_cplfw(tmp_path):
    lines = []
    for fold in range(10):
        lines += [f"A_{fold}_1.jpg 1", f"A_{fold}_2.jpg 1", f"A_{fold}_1.jpg 0", "B_1.jpg 0"]
    pairs = parse_pairs("\n".join(lines), tmp_path)
    assert pairs[0] == Pair(str(tmp_path / "A_0_1.jpg"), str(tmp_path / "A_0_2.jpg"), True, 0)
    assert [p.fold for p in pairs] == [k // 2 for k in range(20)]
    assert [p.same for p in pairs] == [True, False] * 10


def test_csv_with_header_in_any_order(tmp_path):
    text = 'same,group,path_b,path_a\n1,women,"b, c.jpg",a.jpg\n0,men,d.jpg,a.jpg\n,,e.jpg,a.jpg\n'
    pairs = parse_pairs(text, tmp_path)
    a, b = str(tmp_path / "a.jpg"), str(tmp_path / "b, c.jpg")
    assert pairs[0] == Pair(a, b, same=True, fold=None, group="women")
    assert [p.same for p in pairs] == [True, False, None]


@pytest.mark.parametrize("separator", ["\t", ",", " ", ";"])
def test_tables_without_header(tmp_path, separator):
    rows = [("a.jpg", "b.jpg", "1", "0"), ("a.jpg", "c.jpg", "0", "1")]
    pairs = parse_pairs("\n".join(separator.join(row) for row in rows), tmp_path)
    assert [(p.same, p.fold) for p in pairs] == [(True, 0), (False, 1)]
    assert pairs[1].b == str(tmp_path / "c.jpg")


def test_unlabeled(tmp_path):
    (pair,) = parse_pairs("a.jpg\tb.jpg\n", tmp_path)
    assert (pair.same, pair.fold) == (None, None)


def test_names_are_relative_to_the_list_or_to_root_and_may_be_absolute(tmp_path):
    listing = tmp_path / "pairs.csv"
    listing.write_text("\ufeffpath_a,path_b\na.jpg,/far/b.jpg\n", encoding="utf-8")
    (pair,) = read_pairs(listing)
    assert (pair.a, pair.b) == (str(tmp_path / "a.jpg"), "/far/b.jpg")
    (pair,) = read_pairs(listing, tmp_path / "root")
    assert pair.a == str(tmp_path / "root" / "a.jpg")
