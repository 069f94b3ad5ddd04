"""facecycle: facial representations from the cycle-consistency of faces.

``import facecycle_cli as fc; model = fc.load()``. The names below are imported when first used:
importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecycle_cli.media import Provenance as Provenance
    from facecycle_cli.media import read_image as read_image
    from facecycle_cli.media import write_image as write_image
    from facecycle_cli.model import FaceCycle as FaceCycle
    from facecycle_cli.model import load as load

__version__ = "0.1.0"

_HOMES = {
    "FaceCycle": "model",
    "Provenance": "media",
    "load": "model",
    "read_image": "media",
    "write_image": "media",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
