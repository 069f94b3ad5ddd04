"""Lists of pairs, in the real sets' formats."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("a.jpg 1\nb.jpg ²\n", "line 2: the flags of this pair"),
        ("3\t²\nA\t1\t2\n", "line 1: '3 ²' are no numbers of pairs"),
        ("10\t-300\nA\t1\t2\n", "line 1: '10 -300' are no numbers of pairs"),
        ("1" * 5000 + "\t1\nA\t1\t2\n", r"line 1: '1{40}\.\.\.' are no numbers"),
        ("1\nA\t1\t2\nA\t" + "1" * 5000 + "\tB\t1\n", "line 3: neither"),
        ("1\nA\t1\t2\nA\t-1\tB\t1\n", "line 3: neither"),
        ("a.jpg,b.jpg,1,0\na.jpg,b.jpg,1," + "9" * 5000, r"line 2: fold is '9{40}\.\.\.'"),
        ("a.jpg,b.jpg,1,-1\n", "line 1: fold is '-1'"),
        ("a.jpg,b.jpg,2\n", "line 1: same is '2'"),
        ("a.jpg,b\0.jpg,1\n", "line 1: the name of a file holds a zero byte"),
        ("A\0 1 2\n", "line 1: the name of a file holds a zero byte"),
        ('a.jpg,b.jpg,1\n"a.jpg,b.jpg,0\n', "line 2: its cells cannot be told apart"),
        ("path_a,path_b,same\n", "a header, and no pair"),
        ("file1,file2\n\n", "a header, and no pair"),
        ("name,imagenum1,imagenum2\n", "a header, and no pair"),
        ("0\t0\n", "a header, and no pair"),
        (",,\n", "line 1: a pair needs two pictures"),
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


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("yes", "no"), ("SAME", "different")],
)
@pytest.mark.parametrize("order", ["{a},{b},{label}", "{label} {a} {b}", "{a}\t{label}\t{b}"])
def test_labels_and_where_they_stand(tmp_path, yes, no, order):
    lines = [order.format(a="x/a.jpg", b="y/b.jpg", label=label) for label in (yes, no)]
    pairs = parse_pairs("\n".join(lines), tmp_path)
    names = str(tmp_path / "x/a.jpg"), str(tmp_path / "y/b.jpg")
    assert [(p.a, p.b, p.same) for p in pairs] == [(*names, True), (*names, False)]


def test_a_file_whose_name_is_a_label(tmp_path):
    one, a = str(tmp_path / "1"), str(tmp_path / "a.jpg")
    assert parse_pairs("1,a.jpg,1\n", tmp_path) == [Pair(one, a, same=True)]
    assert parse_pairs("same,file1,file2\n0,1,a.jpg\n", tmp_path) == [Pair(one, a, same=False)]


@pytest.mark.parametrize(
    "header",
    [
        "file1,file2,label",
        "image_a,image_b,is_same",
        "Image 1;Image 2;Same Person",
        "img0,img1,target",
        "left_image,right_image,match",
        "path1\tpath2\tgenuine",
        "reference,probe,y",
        "a,b,label",
    ],
)
def test_headers_as_people_write_them(tmp_path, header):
    separator = next(d for d in "\t;," if d in header)
    rows = [header, separator.join(("x 1.jpg", "y.jpg", "1")), separator.join(("x", "y", "0"))]
    pairs = parse_pairs("\r\n".join(rows), tmp_path)
    assert [(Path(p.a).name, Path(p.b).name, p.same) for p in pairs] == [
        ("x 1.jpg", "y.jpg", True),
        ("x", "y", False),
    ]


def test_two_words_are_a_header_where_files_stand_below(tmp_path):
    assert len(parse_pairs("left,right\na.jpg,b.jpg\n", tmp_path)) == 1
    assert len(parse_pairs("left,right\nup,down\n", tmp_path)) == 2


def test_folds_as_pandas_writes_them(tmp_path):
    pairs = parse_pairs("path_a,path_b,same,fold\na,b,1.0,3.0\na,c,0.0,\n", tmp_path)
    assert [(p.same, p.fold) for p in pairs] == [(True, 3), (False, None)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(tmp_path, encoding):
    mark = "\ufeff" if encoding.endswith("e") else ""
    listing = tmp_path / "pairs.csv"
    listing.write_bytes(f"{mark}file1,file2,label\r\nü.jpg,b.jpg,1\r\n".encode(encoding))
    assert read_pairs(listing) == [Pair(str(tmp_path / "ü.jpg"), str(tmp_path / "b.jpg"), True)]


def test_a_stream_and_names_that_are_no_text():
    (pair,) = read_pairs(io.BytesIO(b"\xff.jpg,b\xc2\x85.jpg\n"), "root")
    assert (pair.a, pair.b) == (str(Path("root/\udcff.jpg")), str(Path("root/b\x85.jpg")))


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\xff\xfe\x00\xd8\x20\x00"])
def test_damaged_utf_16(data):
    with pytest.raises(DataError, match="not a text in UTF-16"):
        read_pairs(io.BytesIO(data))


def test_a_list_without_end(monkeypatch):
    monkeypatch.setattr(sys.modules[read_pairs.__module__], "_LARGEST_BYTES", 1 << 20)
    with pytest.raises(DataError, match="this is no list of pairs"):
        read_pairs(io.BytesIO(bytes(1 << 21)))


@given(st.text(alphabet='a1² .-,;\t\n"\0\ufeff', max_size=60))
def test_any_text_is_pairs_or_an_error_of_one_line(text):
    problem = ""
    pairs: list[Pair] = []
    try:
        pairs = parse_pairs(text, "root")
    except DataError as error:
        problem = str(error)
    assert bool(pairs) != bool(problem)
    assert len(problem.splitlines()) < 2
    assert not any("\0" in pair.a + pair.b for pair in pairs)
