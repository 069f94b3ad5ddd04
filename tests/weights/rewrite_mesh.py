"""How the shipped face mesh was made from its conversion: the same numbers from a faster graph.

    python tests/weights/rewrite_mesh.py CONVERTED.onnx face_mesh_468.onnx

The converted file computes its paddings from the shapes of pictures at every call and pads in
operations of their own; they are constants, and the convolutions pad themselves. Its parametric
ReLUs take half of the time, for onnxruntime has no fast kernel for them and leaves its blocked
memory layout around each; ``slope * x + (1 - slope) * relu(x)`` is the same function, made of two
depthwise 1x1 convolutions that stay in the layout.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

_INPUT = (3, 192, 192)


def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function of ``image``, for onnxruntime on CPUs."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    _pad_in_convolutions(graph, _paddings(model))
    _skip_identities(graph)
    _drop_unused(graph)
    _expand_prelus(graph)
    _drop_unused(graph)
    del graph.value_info[:]
    onnx.checker.check_model(result, full_check=True)
    return result


def _paddings(model: onnx.ModelProto) -> dict[str, list[int]]:
    """What the graph computes as the amounts of its Pad nodes, whatever the number of pictures."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = list(dict.fromkeys(n.input[1] for n in model.graph.node if n.op_type == "Pad"))
    del probe.graph.output[:]
    probe.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None) for name in names
    )
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    one, three = (session.run(names, {"image": np.zeros((n, *_INPUT), np.float32)}) for n in (1, 3))
    assert all(np.array_equal(a, b) for a, b in zip(one, three, strict=True))
    return {name: value.tolist() for name, value in zip(names, one, strict=True)}


def _pad_in_convolutions(graph: onnx.GraphProto, paddings: dict[str, list[int]]) -> None:
    users = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    kept = []
    for node in graph.node:
        if node.op_type == "Pad":
            n0, c0, top, left, n1, c1, bottom, right = paddings[node.input[1]]
            around = [top, left, bottom, right]
            convolutions = users[node.output[0]]
            spatial = not any((n0, c0, n1, c1))
            if spatial and all(user.op_type == "Conv" for user in convolutions):
                for convolution in convolutions:
                    _pad(convolution, around)
                    convolution.input[0] = node.input[0]
                continue
            constant = f"{node.output[0]}.pads"  # of channels
            amounts = np.array(paddings[node.input[1]], np.int64)
            graph.initializer.append(numpy_helper.from_array(amounts, constant))
            node.input[1] = constant
        kept.append(node)
    _replace(graph, kept)


def _pad(convolution: onnx.NodeProto, around: list[int]) -> None:
    own = next((list(a.ints) for a in convolution.attribute if a.name == "pads"), [0] * 4)
    others = [a for a in convolution.attribute if a.name not in ("pads", "auto_pad")]
    pads = helper.make_attribute("pads", [a + b for a, b in zip(own, around, strict=True)])
    del convolution.attribute[:]
    convolution.attribute.extend([*others, pads])


def _skip_identities(graph: onnx.GraphProto) -> None:
    outputs = {output.name for output in graph.output}
    source: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = source.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in outputs:
            source[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    _replace(graph, kept)


def _drop_unused(graph: onnx.GraphProto) -> None:
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    _replace(graph, kept[::-1])
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _expand_prelus(graph: onnx.GraphProto) -> None:
    constants = {constant.name: constant for constant in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        (x, slopes), (out,) = node.input, node.output
        slope = numpy_helper.to_array(constants[slopes]).reshape(-1, 1, 1, 1)
        graph.initializer.extend(
            [
                numpy_helper.from_array(slope, f"{out}.slope"),
                numpy_helper.from_array(1 - slope, f"{out}.rest"),
            ]
        )
        per_channel = {"group": len(slope), "kernel_shape": [1, 1]}
        nodes += [
            helper.make_node("Relu", [x], [f"{out}.relu"]),
            helper.make_node("Conv", [x, f"{out}.slope"], [f"{out}.line"], **per_channel),
            helper.make_node(
                "Conv", [f"{out}.relu", f"{out}.rest"], [f"{out}.bend"], **per_channel
            ),
            helper.make_node("Add", [f"{out}.line", f"{out}.bend"], [out]),
        ]
    _replace(graph, nodes)


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = []
    for node in nodes:  # the list may refer to nodes that the deletion below would free
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    onnx.save(rewrite(onnx.load(source)), target)
