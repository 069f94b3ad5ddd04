"""The command as a process: many clients at once, some of them bad, and its page in a browser."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.browser import PHONE
from tests.conftest import ROOT
from tests.serve.test_app import bomb, small


@pytest.fixture(scope="module")
def server():
    """The address of a server in a process of its own, which ends as Ctrl-C ends it."""
    command = [sys.executable, "-m", "facecycle_cli", "serve", "--port", "0", "--max-upload", "4"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "")


def test_eight_clients_at_once(server, examples):
    good = small(examples / "faces" / "person2_neutral.jpg")
    uploads = [good, b"no picture", good, bomb(), good, bytes(5 << 20), good, good[:9000]]

    def post(data):
        return httpx.post(f"{server}frontalize", files={"image": data}, timeout=120)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, uploads))
    assert [a.status_code for a in answers] == [200, 415, 200, 413, 200, 413, 200, 415]
    assert len({answers[i].content for i in (0, 2, 4, 6)}) == 1
    assert httpx.get(f"{server}healthz").json()["busy"] == 0


def send(browser, verb: str, files: dict[str, Path]) -> None:
    browser.find(f".tabs [data-verb={verb}]").click()
    form = f"form[data-verb={verb}]"
    for name, path in files.items():
        browser.find(f"{form} input[name={name}]").send_keys(str(path))
    browser.find(f"{form} .go").click()
    status = f"document.querySelector('{form} .status')"
    browser.wait(f"/^done|^no |^image/.test({status}.textContent)", seconds=120)


def test_page(browser, server, examples, tmp_path):
    face, other = tmp_path / "1.jpg", tmp_path / "2.jpg"
    for number, path in enumerate((face, other), 1):
        path.write_bytes(small(examples / "faces" / f"person{number}_neutral.jpg"))
    browser.open(server, PHONE)
    send(browser, "neutralize", {"image": face})
    slider = browser.find("form[data-verb=neutralize] .compare input")
    slider.send_keys("\ue014" * 5)
    edge = "return getComputedStyle(document.querySelector('.before')).clipPath"
    assert "45%" in browser.run(edge)
    send(browser, "translate", {"source": face, "target": other})
    assert browser.run("return document.querySelectorAll('.beside img').length") == 2
    send(browser, "verify", {"a": face, "b": face})
    assert browser.find(".verdict").text.startswith("Verdict: same (similarity 1.000")
    assert browser.run("return document.documentElement.scrollWidth") == PHONE
    assert browser.complaints() == []
    assert {url.removeprefix(server) for url in browser.requests()} == {
        "", "neutralize", "translate", "verify"
    }  # fmt: skip


def test_page_says_what_is_wrong(browser, server):
    browser.open(server)
    send(browser, "encode", {"image": ROOT / "README.md"})
    wrong = browser.find("form[data-verb=encode] .status.wrong")
    assert wrong.text == "image: not a picture in a known format"
