"""The network files that ship with the package; `NOTICE.md` says where each comes from.

This module imports nothing heavy: it only knows where the files lie.
"""

from importlib import resources
from pathlib import Path

__all__ = ["path"]


def path(name: str) -> Path:
    """Where the shipped file `name` (for example ``face_mesh_468.onnx``) lies on disk.

    Raises FileNotFoundError, with the names that do ship, when there is no such file.
    """
    folder = resources.files(__name__)
    with resources.as_file(folder) as root:
        file = Path(root) / name
        if Path(name).name == name and file.is_file():
            return file
        shipped = ", ".join(sorted(f.name for f in Path(root).iterdir() if f.suffix in _SUFFIXES))
    raise FileNotFoundError(f"no file named {name!r} ships with facecycle (there are: {shipped})")


_SUFFIXES = {".onnx", ".safetensors"}
