"""What the addresses answer: results, limits, and one clear line for everything that is wrong."""

from __future__ import annotations

import asyncio
import io
import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image

from facecycle_cli.cli.serve import verb_dials
from facecycle_cli.media import probe, read_image, read_provenance
from facecycle_cli.serve import work
from facecycle_cli.serve.app import build_app
from facecycle_cli.serve.dials import parse_dials
from facecycle_cli.serve.errors import RequestError
from facecycle_cli.serve.verbs import RequestLimits, Tools
from facecycle_cli.serve.work import RequestPool

HOST = "http://localhost"


def small(path) -> bytes:
    """A photograph, reduced: its face is found sooner."""
    file = io.BytesIO()
    with Image.open(path) as picture:
        picture.resize((320, 320)).save(file, "JPEG", quality=90)
    return file.getvalue()


def bomb() -> bytes:
    """A picture of 81 megapixels in ten kilobytes."""
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG")
    return file.getvalue()


def talk(app, conversation):
    """What a conversation with the application returns; it gets a client."""

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=HOST, timeout=60) as client:
            return await conversation(client)

    return asyncio.run(run())


class Client:
    """One request at a time."""

    def __init__(self, app):
        self._app = app

    def get(self, address, **options):
        return talk(self._app, lambda client: client.get(address, **options))

    def post(self, address, **options):
        return talk(self._app, lambda client: client.post(address, **options))


@pytest.fixture(scope="module")
def dials():
    return verb_dials()


@pytest.fixture(scope="module")
def tools(model, backend):
    return Tools(model, backend, RequestLimits(upload_bytes=4 << 20, clip_seconds=1, seconds=60))


@pytest.fixture(scope="module")
def client(tools, dials):
    return Client(build_app(tools, dials, RequestPool(2, 4)))


@pytest.fixture(scope="module")
def face_file(examples):
    return small(examples / "faces" / "person2_neutral.jpg")


class TestDials:
    def test_are_those_of_the_commands(self, dials):
        (size,) = (dial for dial in dials["neutralize"] if dial.name == "size")
        assert (size.kind, size.default, size.low, size.high) == ("integer", 256, 32, 1024)
        (motion,) = (dial for dial in dials["translate"] if dial.name == "motion")
        assert (motion.kind, motion.default) == ("choice", None)
        assert motion.choices == ("absolute", "relative")
        assert {dial.name for dial in dials["verify"]} == {"threshold", "far", "face"}

    def test_none_names_a_file_or_the_whole_server(self, dials):
        names = {dial.name for each in dials.values() for dial in each}
        assert {"mouth", "paste_back", "smooth", "duration", "only"} <= names
        forbidden = "inputs output overwrite checkpoint device aligner report cache save_motion"
        assert not names & set(forbidden.split())

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"size": "31"}, "size: at least 32 and at most 1024"),
            ({"size": "1e2"}, "size: '1e2' is no integer"),
            ({"strength": "nan"}, "strength: at least 0"),
            ({"mouth": "teeth"}, "mouth: 'teeth' is none of landmarks, flow"),
            ({"mean": "perhaps"}, "mean: 'perhaps' is neither true nor false"),
            ({"face": "LIKE:/etc/passwd"}, "face: a request names no files"),
            ({"face": "x" * 300}, "face: too long"),
            ({"checkpoint": "small"}, "unknown field 'checkpoint'"),
        ],
    )
    def test_refusals(self, dials, fields, words):
        with pytest.raises(RequestError) as error:
            parse_dials(dials["neutralize"], fields)
        assert str(error.value).startswith(words)

    def test_values(self, dials):
        fields = {"paste-back": "true", "mean": "0", "size": "64", "mouth": ""}
        values = parse_dials(dials["neutralize"], fields)
        assert values == {"paste_back": True, "mean": False, "size": 64}


class TestAnswers:
    def test_portrait(self, client, face_file, tmp_path):
        form = client.post("/neutralize", files={"image": face_file}, data={"size": "64"})
        assert (form.status_code, form.headers["content-type"]) == (200, "image/png")
        (tmp_path / "a.png").write_bytes(form.content)
        assert read_image(tmp_path / "a.png").shape == (64, 64, 3)
        assert read_provenance(tmp_path / "a.png")["operation"] == "neutralize"
        headers = {"content-type": "image/jpeg"}
        raw = client.post("/neutralize?size=64", content=face_file, headers=headers)
        assert raw.content == form.content

    def test_codes(self, client, face_file):
        data = {"only": "yaw, expression_code"}
        (face,) = client.post("/encode", files={"image": face_file}, data=data).json()["faces"]
        assert abs(face["yaw"]) < 15
        assert np.shape(face["expression_code"]) == (256,)

    def test_two_faces(self, client, face_file):
        files = {"a": face_file, "b": face_file}
        fields = client.post("/verify", files=files, data={"threshold": "0.5"}).json()
        assert (fields["verdict"], fields["threshold"]) == ("same", 0.5)
        assert fields["similarity"] == pytest.approx(1, abs=1e-4)
        assert "not fit for decisions" in fields["note"]

    def test_motion_of_a_clip(self, client, examples, face_file, tmp_path):
        clip = (examples / "talker.mpg").read_bytes()
        data = {"max_frames": "3", "size": "64"}
        files = {"source": ("../../x.mpg", clip), "target": face_file}
        answer = client.post("/translate", files=files, data=data)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        (tmp_path / "a.mp4").write_bytes(answer.content)
        assert (probe(tmp_path / "a.mp4").width, probe(tmp_path / "a.mp4").height) == (64, 64)
        assert read_provenance(tmp_path / "a.mp4")["operation"] == "translate"

    def test_motion_of_a_picture(self, client, face_file):
        files = {"source": face_file, "target": face_file}
        answer = client.post("/translate", files=files, data={"size": "64"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")

    def test_health(self, client):
        assert client.get("/healthz").json()["status"] == "ok"


class TestRefusals:
    @pytest.mark.parametrize(
        ("verb", "files", "fields", "status", "words"),
        [
            ("neutralize", {"image": b"no picture"}, {}, 415, "image: not a picture"),
            ("neutralize", {"image": b""}, {}, 415, "image: empty file"),
            ("neutralize", {"image": bomb()}, {}, 413, "image: 9000x9000 pixels; this server"),
            ("neutralize", {"image": "blank"}, {}, 422, "no face found"),
            ("neutralize", {"image": "face"}, {"face": "9"}, 422, "no face 9; it shows 1"),
            ("neutralize", {"image": "face"}, {"face": "all"}, 400, 'face="all" gives'),
            ("neutralize", {"a": "face"}, {}, 400, "'a' is no field for a file"),
            ("neutralize", {}, {"image": "/etc/passwd"}, 400, "image: a file, and not its name"),
            ("verify", {"a": "face"}, {}, 400, "no file in the field b"),
            ("verify", {"a": "face", "b": b"no picture"}, {}, 415, "b: not a picture"),
            ("verify", {"a": "face", "b": "face"}, {"face": "9"}, 422, "no face 9; it shows 1"),
            ("verify", {"a": "face", "b": "face"}, {"face": "like:x"}, 400, "face: a request"),
            ("verify", {"a": "face", "b": "face"}, {"face": "all"}, 400, "'all' is none of"),
            ("translate", {"source": b"#EXTM3U\n", "target": "face"}, {}, 415, "source: not a"),
            ("translate", {"source": "clip", "target": "face"}, {}, 413, "source: 3.0 seconds"),
            ("translate", {"source": "face", "target": "blank"}, {}, 422, "no face found in"),
        ],
    )  # fmt: skip
    def test_uploads(self, client, examples, face_file, verb, files, fields, status, words):
        blank = io.BytesIO()
        Image.new("RGB", (64, 64)).save(blank, "PNG")
        known = {"face": face_file, "blank": blank.getvalue()}
        known["clip"] = (examples / "talker.mpg").read_bytes()
        uploads = {name: (name, known.get(file, file)) for name, file in files.items()}
        data = {name: (None, text) for name, text in fields.items()}
        answer = client.post(f"/{verb}", files={**uploads, **data})
        assert answer.json()["error"].startswith(words)
        assert answer.status_code == status

    @pytest.mark.parametrize("length_is_known", [True, False])
    def test_too_much(self, client, length_is_known):
        async def parts():
            for _ in range(5):
                yield bytes(1 << 20)

        content = bytes(5 << 20) if length_is_known else parts()
        headers = {"content-type": "image/png"}
        answer = client.post("/neutralize", content=content, headers=headers)
        assert (answer.status_code, "4 MB" in answer.json()["error"]) == (413, True)

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"host": "attacker.example"}, 403),
            ({"origin": "http://attacker.example"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"host": "[::1]:8000"}, 200),
            ({"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:8000"}, 200),
        ],
    )
    def test_other_sites(self, client, headers, status):
        answer = client.get("/healthz", headers=headers)
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers

    def test_addresses(self, client):
        assert client.get("/neutralize").status_code == 405
        assert client.get("/openapi.json").status_code == 404
        assert client.post("/neutralize", content=b"x").status_code == 415


class Stuck:
    """A backend that waits for a word in the middle of its work."""

    name = "mesh"

    def __init__(self, backend):
        self._backend = backend
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.calls = 0

    def prepare(self):
        pass

    def detect(self, images, **options):
        self.calls += 1
        self.reached.set()
        assert self.go_on.wait(60)
        return self._backend.detect(images, **options)

    def follow(self, images, previous):
        self.calls += 1
        return self._backend.follow(images, previous)


@pytest.fixture
def stuck(backend):
    made = Stuck(backend)
    yield made
    made.go_on.set()


def test_what_takes_too_long_ends(model, stuck, dials, examples, face_file, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: clock.now))
    pool = RequestPool(1, 0)
    app = build_app(Tools(model, stuck, RequestLimits(seconds=60)), dials, pool)
    files = {"source": (examples / "talker.mpg").read_bytes(), "target": face_file}

    async def conversation(client):
        request = asyncio.ensure_future(client.post("/translate", files=files))
        while not stuck.reached.is_set():
            await asyncio.sleep(0.01)
        clock.now = 61.0
        answer = await request
        assert answer.status_code == 504
        assert "60 seconds" in answer.json()["error"]
        assert (pool.busy, stuck.calls) == (1, 1)  # the thread cannot be stopped between two steps
        stuck.go_on.set()
        while pool.busy:
            await asyncio.sleep(0.01)
        assert stuck.calls == 1

    talk(app, conversation)


def test_too_many_are_told_to_come_again(model, stuck, dials, face_file):
    pool = RequestPool(1, 1)
    app = build_app(Tools(model, stuck, RequestLimits(seconds=60)), dials, pool)

    async def conversation(client):
        def post():
            return client.post("/neutralize", files={"image": face_file}, data={"size": "64"})

        waiting = [asyncio.ensure_future(post()) for _ in range(2)]
        while pool.busy < 2:
            await asyncio.sleep(0.01)
        refused = await post()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await client.get("/healthz")).json()["busy"] == 2
        stuck.go_on.set()
        answers = await asyncio.gather(*waiting)
        assert [answer.status_code for answer in answers] == [200, 200]

    talk(app, conversation)
