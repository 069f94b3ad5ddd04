"""The network files that ship with the package; `NOTICE.md` says where those of others come from.

This module imports nothing heavy: it only knows where the files lie.
"""

from importlib import resources
from pathlib import Path

__all__ = ["path"]

_SUFFIXES = {".onnx", ".safetensors"}


def path(name: str) -> Path:
    """Where the shipped file `name` (for example ``face_mesh_468.onnx``) lies on disk.

    Raises:
        FileNotFoundError: no such file ships; the message lists those that do.
    """
    folder = Path(str(resources.files(__name__)))
    shipped = sorted(f.name for f in folder.iterdir() if f.suffix in _SUFFIXES)
    if name not in shipped:
        raise FileNotFoundError(f"no file {name!r} ships with facecycle, only {', '.join(shipped)}")
    return folder / name
