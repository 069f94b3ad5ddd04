"""Stand-ins for packages that training imports and a bare machine with torch may lack.

Only as much of them as a training run on pictures of the disk needs. An installed package is used
as it is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

_MEMORY = 4 << 30
"""Free bytes where the system does not say how many there are."""


def stand_in_for_missing() -> list[str]:
    """Put a stand-in into ``sys.modules`` for every package that is missing.

    Returns:
        The names of these packages.
    """
    missing = [name for name in _MAKERS if find_spec(name) is None]
    for name in missing:
        sys.modules.update(_MAKERS[name]())
    return missing


def _module(name: str, **attributes: Any) -> ModuleType:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)  # the compiler of torch asks every module for it
    vars(module).update(attributes)
    return module


def _toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """``table`` as TOML; of the kinds of values that settings have."""
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in plain.items()]
    for key, value in table.items():
        if key not in plain:
            lines += [f"\n[{prefix}{key}]\n", _toml(value, f"{prefix}{key}.")]
    return "".join(lines)


def _tomli_w() -> dict[str, ModuleType]:
    return {"tomli_w": _module("tomli_w", dumps=_toml)}


def _psutil() -> dict[str, ModuleType]:
    def virtual_memory() -> SimpleNamespace:
        try:
            available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError):  # not Linux
            available = _MEMORY
        return SimpleNamespace(available=available)

    return {"psutil": _module("psutil", virtual_memory=virtual_memory)}


class _Request:
    """A stream that a plugin reads or writes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def get_file(self) -> BinaryIO:
        return self._file


class _Plugin:
    """What facecycle's own plugins take from imageio's for Pillow."""

    _image: Image.Image | None = None

    def __init__(self, request: _Request) -> None:
        self._request = request

    def write(self, array: np.ndarray, *, format: str, is_batch: bool, **options: Any) -> None:  # noqa: A002
        Image.fromarray(array).save(self._request.get_file(), format, **options)

    def close(self) -> None:
        if self._image is not None:
            self._image.close()


def _imopen(file: BinaryIO, mode: str, *, plugin: Callable[[_Request], Any]) -> Any:
    return plugin(_Request(file))


def _imageio() -> dict[str, ModuleType]:
    v3 = _module("imageio.v3", imopen=_imopen)
    plugins = _module("imageio.plugins.pillow", PillowPlugin=_Plugin)
    request = _module("imageio.core.request", Request=_Request)
    api = _module("imageio.core.v3_plugin_api", PluginV3=_Plugin)
    return {
        "imageio": _module("imageio", v3=v3),
        "imageio.core": _module("imageio.core", request=request, v3_plugin_api=api),
        "imageio.plugins": _module("imageio.plugins", pillow=plugins),
        **{module.__name__: module for module in (v3, plugins, request, api)},
    }


_MAKERS: dict[str, Callable[[], dict[str, ModuleType]]] = {
    "imageio": _imageio,
    "psutil": _psutil,
    "tomli_w": _tomli_w,
}
"""Package -> makes its modules by name."""
