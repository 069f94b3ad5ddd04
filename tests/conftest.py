"""Fixtures for all tests: development data, examples, networks, and the command as users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from facecycle_cli.faces import Face, FaceBackend, load_backend
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle, load
from tests.browser import browser

__all__ = ["browser"]  # a fixture, too

settings.register_profile("busy machines", deadline=None)
settings.load_profile("busy machines")

ROOT = Path(__file__).resolve().parent.parent

RunCli = Callable[..., "subprocess.CompletedProcess[bytes]"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``full``, unless ``-m`` speaks of it or a test is named."""
    named = any("::" in argument for argument in config.args)
    if named or "full" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Face data for development, which is not part of the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the development data in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The pictures and the clip that ship with the repository."""
    return ROOT / "examples"


def run_process(
    command: Sequence[str | Path],
    *,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[bytes]:
    """Run ``command`` with this interpreter's facecycle; output captured, no terminal anywhere."""
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [str(part) for part in command],
        input=stdin if stdin is not None else b"",
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": python_path, **(env or {})},
        capture_output=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def run_cli() -> RunCli:
    """The installed ``facecycle`` with arguments; keywords as `run_process` has them."""
    script = Path(sys.executable).with_name("facecycle")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "facecycle_cli"]

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
        return run_process([*start, *arguments], **options)

    return run


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(60, 80, 3) uint8 that is different in every corner, channel and direction."""
    y, x = np.mgrid[0:60, 0:80]
    return np.stack([3 * x, 4 * y, 255 - 2 * x - y], axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def model() -> FaceCycle:
    """The embedded checkpoint."""
    return load()


@pytest.fixture(scope="session")
def backend() -> FaceBackend:
    """The default backend."""
    return load_backend()


@pytest.fixture(scope="session")
def smiling(examples: Path) -> np.ndarray:
    """A photograph of one smiling person."""
    return read_image(examples / "faces" / "person1_smiling.jpg")


@pytest.fixture(scope="session")
def photograph(examples: Path) -> np.ndarray:
    """A photograph of a neutral person with the eyes open."""
    return read_image(examples / "faces" / "person2_neutral.jpg")


@pytest.fixture(scope="session")
def face(backend: FaceBackend, photograph: np.ndarray) -> Face:
    """The face in it."""
    return backend.detect([photograph])[0][0]


@pytest.fixture(scope="session")
def couple(smiling: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """Two people beside each other."""
    height = min(len(smiling), len(photograph))
    return np.concatenate((smiling[:height], photograph[:height]), axis=1)
