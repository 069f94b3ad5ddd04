"""The network files that ship with the package.

``NOTICE.md`` in this folder names the source and the license of those that others made. This module
imports nothing heavy: it only knows where the files are.
"""

from importlib import resources
from pathlib import Path

__all__ = ["path"]

_SUFFIXES = {".onnx", ".safetensors"}


def path(name: str) -> Path:
    """The file of a shipped network.

    Args:
        name: Its name, for example ``face_mesh_468.onnx``.

    Raises:
        FileNotFoundError: No such file ships; the message lists those that do.
    """
    folder = Path(str(resources.files(__name__)))
    shipped = sorted(file.name for file in folder.iterdir() if file.suffix in _SUFFIXES)
    if name not in shipped:
        raise FileNotFoundError(f"no file {name!r} ships with facecycle, only {', '.join(shipped)}")
    return folder / name
