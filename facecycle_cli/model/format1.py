"""Checkpoints of format 1 (facecycle before 0.2): their names -> today's.

What the networks compute is the same; tensors, configuration keys and one metadata key have other
names, and the configuration was flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_NETWORKS = {
    "generator.": "expression_decoder.",
    "normaliser.de.": "identity_decoder.mlp_de.",
    "normaliser.re.": "identity_decoder.mlp_re.",
    "normaliser.": "identity_decoder.",
    "embedding.": "verifier.",
}
"""Prefixes of tensors; the first one that fits counts."""

_CONFIG = {
    "flow_widths": "flow_decoder_widths",
    "generator_width": "expression_decoder_width",
    "generator_blocks": "expression_decoder_blocks",
    "decoder_widths": "expression_decoder_upsampling_widths",
    "normaliser_width": "identity_decoder_width",
    "normaliser_blocks": "identity_decoder_blocks",
    "normaliser_decoder_widths": "identity_decoder_upsampling_widths",
    "trunk": "extensions.trunk",
    "flow_stride": "extensions.flow_stride",
    "inverse_steps": "extensions.inverse_steps",
    "residual": "extensions.residual",
    "upsampling": "extensions.upsampling",
    "padding": "extensions.padding",
    "embedding_of": "verifier.compares",
    "embedding_size": "verifier.size",
}
"""Keys of the configuration; a dot leads into a group. Keys that are not listed are unchanged."""

_METADATA = {"licence": "license"}


def upgrade_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of format 1 as today's dictionary; unknown keys stay, to be refused later."""
    config: dict[str, Any] = {}
    for key, value in values.items():
        group, _, name = _CONFIG.get(key, key).rpartition(".")
        (config.setdefault(group, {}) if group else config)[name] = value
    return config


def upgrade_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of format 1 with today's keys."""
    return {_METADATA.get(key, key): value for key, value in metadata.items()}


def upgrade_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of format 1 under today's names."""
    return {_todays_name(name): tensor for name, tensor in tensors.items()}


def _todays_name(name: str) -> str:
    for old, new in _NETWORKS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
