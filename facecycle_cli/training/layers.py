"""Layers of settings: dictionaries from TOML files and from the command line, made into records."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tomli_w

from facecycle_cli.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Record = TypeVar("_Record")

_RENAMED = {
    "weights.focus": "options.focus",
    "weights.exchange": "options.exchange",
    "weights.relight": "options.relight",
    "weights.perform": "options.reenact",
    "augmentation.apart": "augmentation.independent",
}
"""Settings of older versions -> their names of today."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a layer from a TOML file.

    Raises:
        SettingsError: the file is not TOML.
        OSError: it cannot be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"not a TOML file: {error}") from None


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Make a layer of ``key=value`` texts: ``identity.lr=1e-4``, ``augmentation.gray=0.2``.

    Values are TOML; what is not TOML is taken as text.

    Raises:
        SettingsError: a text has no ``=``, or its key cannot be the name of a setting.
    """
    layer: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"{text!r} is not of the form key=value")
        try:
            parsed = tomllib.loads(f"{key} = {value}")
        except tomllib.TOMLDecodeError:
            quoted = tomli_w.dumps({"value": value}).removeprefix("value")
            try:
                parsed = tomllib.loads(f"{key}{quoted}")
            except tomllib.TOMLDecodeError:
                raise SettingsError(f"{key!r} is not the name of a setting") from None
        merge_layers(layer, parsed)
    return layer


def merge_layers(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Put ``layer`` over ``into``, table by table."""
    for key, value in layer.items():
        if isinstance(value, Mapping):
            below = into.get(key)
            into[key] = below = dict(below) if isinstance(below, Mapping) else {}
            merge_layers(below, value)
        else:
            into[key] = value


def build_record(kind: type[_Record], values: Mapping[str, Any], prefix: str = "") -> _Record:
    """Make a dataclass, and the dataclasses in its fields, of a layer.

    Args:
        kind: the dataclass.
        values: of its fields, as TOML has them.
        prefix: of the names in error messages: the table that ``values`` are from.

    Raises:
        SettingsError: an unknown key, or a value of the wrong kind.
    """
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]  # only dataclasses come here
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in known:
            raise SettingsError(f"unknown setting {name}{_renamed(name)}")
        arguments[key] = _convert(hints[key], value, name)
    try:
        return kind(**arguments)
    except SettingsError as error:
        raise SettingsError(f"{prefix}{error}") from None


def _renamed(name: str) -> str:
    """What to say of a name that an older version had."""
    for old, new in _RENAMED.items():
        if name.endswith(old):
            return f": it is {name.removesuffix(old)}{new} now"
    return ""


def _convert(kind: Any, value: Any, name: str) -> Any:
    """``value`` as the field ``name`` of the type ``kind`` has it."""
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{name} is a table of settings")
        return build_record(kind, value, f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is Literal:
        return value  # the record itself knows which values are allowed
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise SettingsError(f"{name} must be a list, not {value!r}")
        return tuple(_convert(item, part, name) for part in value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise SettingsError(f"{name} must be {_KINDS[kind]}, not {value!r}")
    return value


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
