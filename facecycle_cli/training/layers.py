"""Layers of settings: plain dictionaries from TOML files and from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from facecycle_cli.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def read_toml(path: str | Path) -> dict[str, Any]:
    """A layer from a TOML file.

    Raises:
        SettingsError: the file is no TOML. OSError: it cannot be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"not a TOML file: {error}") from None


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """A layer from ``key=value`` texts: ``identity.lr=1e-4``, ``augmentation.gray=0.2``.

    Values are TOML; what is none is taken as text.

    Raises:
        SettingsError: no ``=``, or a key that is none.
    """
    layer: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"{text!r} is not of the form key=value")
        try:
            parsed = tomllib.loads(f"{key} = {value}")
        except tomllib.TOMLDecodeError:
            try:
                parsed = tomllib.loads(f"{key} = {_toml(value)}")
            except tomllib.TOMLDecodeError:
                raise SettingsError(f"{key!r} is not the name of a setting") from None
        merge(layer, parsed)
    return layer


def to_toml(layer: Mapping[str, Any]) -> str:
    """The layer as a TOML file, to be read by :func:`read_toml`."""
    lines: list[str] = []

    def table(values: Mapping[str, Any], name: str) -> None:
        if name:
            lines.extend(("", f"[{name}]"))
        lines.extend(f"{k} = {_toml(v)}" for k, v in values.items() if not isinstance(v, dict))
        for key, value in values.items():
            if isinstance(value, dict):
                table(value, f"{name}.{key}" if name else key)

    table(layer, "")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        escaped = "".join(
            f"\\{c}" if c in '"\\' else f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c
            for c in value
        )
        return f'"{escaped}"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Put ``layer`` over ``into``, table by table."""
    for key, value in layer.items():
        if isinstance(value, Mapping):
            below = into.get(key)
            into[key] = below = dict(below) if isinstance(below, Mapping) else {}
            merge(below, value)
        else:
            into[key] = value


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A record of the class ``kind``, and of its fields' classes, from a layer.

    Raises:
        SettingsError: an unknown key, or a value of the wrong kind.
    """
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise SettingsError(f"unknown setting {prefix}{key}")
        arguments[key] = _convert(hints[key], value, f"{prefix}{key}")
    try:
        return kind(**arguments)
    except SettingsError as error:
        raise SettingsError(f"{prefix}{error}") from None


def _convert(kind: Any, value: Any, name: str) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{name} is a table of settings")
        return build(kind, value, f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise SettingsError(f"{name} must be a list, not {value!r}")
        return tuple(_convert(item, part, name) for part in value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise SettingsError(f"{name} must be {_WORDS[kind]}, not {value!r}")
    return value


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
