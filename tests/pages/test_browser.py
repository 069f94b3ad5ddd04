"""Every kind of report in a browser: all of it is shown, and nothing is asked of the network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from facecycle_cli.evaluation.reenactment_report import ClipPages
from facecycle_cli.evaluation.reenactment_results import OUTPUT, ClipResult, PictureErrors
from facecycle_cli.evaluation.reports import (
    EvaluationReport,
    report_expression,
    report_neutral,
    report_pose,
    report_reconstruction,
    report_tables,
)
from facecycle_cli.evaluation.strips import Strip, StripFrame
from facecycle_cli.media import Provenance, reports
from facecycle_cli.pages.blocks import Paragraph, Table
from facecycle_cli.pages.gallery import Gallery
from facecycle_cli.verify.generated import GeneratedExample
from facecycle_cli.verify.pairs import LabeledPairs, Pair
from facecycle_cli.verify.report import PairsReport, report_against, report_pairs
from tests.browser import PHONE

pytest.importorskip("matplotlib")

HOSTILE = "<img src=x onerror=alert(1)>‮\udcff.png"
"""A name of a file, which is free to hold anything but a slash and a zero byte."""

RANDOM = np.random.default_rng(0)
MODELS = {"small": SimpleNamespace(checkpoint=None)}
NUMBERS = {"data": HOSTILE, "seed": 0, "checkpoint": None}
PROVENANCE = Provenance("test", None)


def picture() -> np.ndarray:
    return RANDOM.integers(0, 255, (32, 32, 3)).astype(np.uint8)


def report(folder) -> EvaluationReport:
    rows = [["", "small", HOSTILE], ["accuracy", "12.00 %", "3.00 %"], [f"  {HOSTILE}", "n/a", "1"]]
    return EvaluationReport(folder, HOSTILE, NUMBERS, [Paragraph(HOSTILE), Table(rows)])


def expression(folder):
    metrics = SimpleNamespace(confusion=[[3, 1], [0, 4]], classes=["neutral", "<b>"])
    result = SimpleNamespace(results={"small": SimpleNamespace(metrics=metrics)})
    report_expression(report(folder), result)


def pose(folder):
    truth = RANDOM.normal(size=(9, 3))
    report_pose(report(folder), SimpleNamespace(truth=truth, predicted={"small": truth}), MODELS)


def reconstruction(folder):
    names = "motion_cycle_l1 both_cycles_l1 identity_similarity stranger_similarity".split()
    measured = SimpleNamespace(
        values={name: RANDOM.normal(size=5) for name in names},
        shown=[np.stack([picture() for _ in range(6)])],
    )
    report_reconstruction(report(folder), SimpleNamespace(results={"small": measured}), MODELS)


def neutral(folder):
    face = SimpleNamespace(expression=HOSTILE, before=1.0, after=0.5)
    shown = SimpleNamespace(crop=picture(), result=picture(), neutral=picture(), face=face)
    report_neutral(report(folder), SimpleNamespace(shown={"small": [shown]}), MODELS)


def translate(folder):
    strip = Strip()
    for number in range(8):
        strip.add(StripFrame(number / 25, {"source": picture(), OUTPUT: picture()}))
    clip = ClipResult(HOSTILE, 8, 0, 0, {OUTPUT: PictureErrors(l1=0.1)}, {}, strip=strip)
    pages = ClipPages(folder, MODELS["small"])
    pages.add(clip)
    pages.write(report(folder))


def tables(folder):
    report_tables(report(folder))


def pairs(folder):
    similarities = np.array([0.9, 0.1, 0.8, 0.2])
    same = np.array([True, True, False, False])
    listed = [Pair(f"{HOSTILE}{i}", f"b{i}", same=bool(kind)) for i, kind in enumerate(same)]
    labeled = LabeledPairs(listed, similarities, same)
    matches = SimpleNamespace(similarities={"identity": similarities}, labeled=lambda name: labeled)
    settings = SimpleNamespace(aligned=True, min_face=24)
    written = PairsReport(folder, NUMBERS, report(folder).summary)
    report_pairs(written, matches, 0.5, SimpleNamespace(settings=settings, backend=None))


def against(folder):
    written = PairsReport(folder, NUMBERS, [])
    report_against(written, [GeneratedExample(picture(), picture(), 0.5)], PROVENANCE)


def gallery(folder):
    with Gallery(folder, "Faces", NUMBERS, PROVENANCE) as pages:
        pages.add(HOSTILE, picture(), picture(), [HOSTILE])
        pages.fail(HOSTILE, HOSTILE)


KINDS = (expression, pose, reconstruction, neutral, translate, tables, pairs, against, gallery)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_report(browser, tmp_path, make, monkeypatch):
    monkeypatch.setattr(reports, "_DOTS_PER_INCH", 20)  # of files beside the page
    make(tmp_path)
    (tmp_path / "x").write_bytes(b"what a name of a file must not reach")
    url = (tmp_path / "index.html").as_uri()
    browser.open(url, PHONE)
    assert browser.requests() == [url]
    assert browser.run("return document.body.innerText").count("<img src=x onerror=alert(1)>")
    assert browser.wait("[...document.images].every(image => image.complete)")
    images = browser.run("return [...document.images].map(i => [i.alt, i.naturalWidth])")
    assert all(alt and width for alt, width in images)
    assert bool(images) == (make not in (expression, tables))
    assert browser.wait("[...document.querySelectorAll('video')].every(v => v.readyState > 1)")
    assert browser.run("return document.documentElement.scrollWidth") == PHONE
    assert browser.complaints() == []


def test_slider(browser, tmp_path):
    gallery(tmp_path)
    browser.open((tmp_path / "index.html").as_uri())
    edge = "return getComputedStyle(document.querySelector('.before')).clipPath"
    assert "50%" in browser.run(edge)
    browser.find(".compare input").send_keys("\ue014" * 5)  # the right arrow
    assert "45%" in browser.run(edge)
    box = browser.find(".compare")
    webdriver = pytest.importorskip("selenium.webdriver")
    quarter = -box.size["width"] // 4
    chain = webdriver.ActionChains(browser.driver)
    chain.move_to_element_with_offset(box, quarter, 0).click().perform()
    left = int(browser.find(".compare input").get_property("value"))
    assert left == pytest.approx(25, abs=2)
    assert f"{100 - left}%" in browser.run(edge)


def test_definitions_open(browser, tmp_path):
    tables(tmp_path)
    browser.open((tmp_path / "index.html").as_uri())
    browser.find("a[href='#accuracy']").click()
    assert browser.find("#accuracy").is_displayed()
    assert browser.complaints() == []


def test_no_network_even_if_a_script_got_in(browser, tmp_path):
    """The policy of the page: no script that is not its own, and no picture from elsewhere."""
    tables(tmp_path)
    path = tmp_path / "index.html"
    bad = "<script>document.title = 'bad'</script><img src='http://localhost:1/x.png'></body>"
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", bad), encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.driver.title != "bad"
    complaints = "\n".join(browser.complaints())
    assert "script-src" in complaints
    assert "img-src" in complaints
