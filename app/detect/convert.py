"""Makes an ONNX model of a TensorFlow.js graph: as much of it as small convolutional detectors use.

TensorFlow lays pictures out as rows, columns, channels; ONNX as channels, rows, columns. So everything with
four dimensions changes its layout on the way: weights and constants here, the activations by themselves.
Needs the package onnx, which only this module does: who runs a model doesn't convert it.
"""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

PICTURE = "picture"
_OPSET = 18
_IR_VERSION = 10
_AXIS = {0: 0, 1: 2, 2: 3, 3: 1}
_ELEMENTWISE = {"Add": "Add", "AddV2": "Add", "BiasAdd": "Add", "Mul": "Mul", "Sub": "Sub"}
_PLAIN = {"Relu": "Relu", "Sigmoid": "Sigmoid", "Identity": "Identity"}
_FUSED = {"_FusedConv2D", "FusedDepthwiseConv2dNative"}
_DEPTHWISE = {"DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"}
_CONVOLUTIONS = {"Conv2D", *_FUSED, *_DEPTHWISE}

Array = np.ndarray[Any, np.dtype[Any]]
Node = Mapping[str, Any]


class CannotConvert(Exception):
    """The graph has something that isn't known here; the message names it."""


@dataclass(frozen=True)
class Graph:
    """A TensorFlow.js graph: its nodes and its constants, both by name."""

    nodes: Mapping[str, Node]
    constants: Mapping[str, Array]


def read(description: bytes, weights: bytes) -> Graph:
    """Return the graph that a model's JSON and its one file of weights describe. Raises CannotConvert."""
    try:
        told = json.loads(description)
        nodes = {node["name"]: node for node in told["modelTopology"]["node"]}
        constants, at = {}, 0
        for group in told["weightsManifest"]:
            for entry in group["weights"]:
                kind = np.dtype(entry.get("quantization", entry)["dtype"])
                count = prod(entry["shape"])
                found = np.frombuffer(weights, kind, count, at).reshape(entry["shape"])
                constants[entry["name"]] = found.astype(entry["dtype"])
                at += count * kind.itemsize
    except (KeyError, TypeError, ValueError) as err:
        raise CannotConvert("The model's description and its weights don't fit together.") from err
    return Graph(nodes, constants)


def convert(graph: Graph, outputs: Mapping[str, str], labels: Sequence[str]) -> bytes:
    """Return an ONNX file that takes `picture` and gives `outputs`, each a node's name and what it's called from now on.

    What doesn't lead to an output is left out. `labels` are written into the file. Raises CannotConvert.
    """
    made = _Made()
    for name in _order(graph, list(outputs)):
        _translate(made, graph, graph.nodes[name])
    for name, called in outputs.items():
        made.add("Identity", [name], called)
    body = helper.make_graph(
        made.nodes,
        "detector",
        [helper.make_tensor_value_info(PICTURE, onnx.TensorProto.FLOAT, made.shape)],
        [helper.make_tensor_value_info(called, onnx.TensorProto.FLOAT, None) for called in outputs.values()],
        made.constants,
    )
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="atelier"
    )
    helper.set_model_props(model, {"labels": json.dumps(list(labels))})
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))
    return bytes(model.SerializeToString())


@dataclass
class _Made:
    """The ONNX graph as far as it is made; `shape` is the picture's."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], output: str, **more: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **more))

    def constant(self, name: str, value: Array) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _order(graph: Graph, outputs: list[str]) -> list[str]:
    """Return the names of what leads to the outputs, constants left out, each after what it reads."""
    before: dict[str, set[str]] = {}
    waiting = outputs
    while waiting:
        name = waiting.pop()
        if name in before:
            continue
        if name not in graph.nodes:
            raise CannotConvert(f"There is no node {name}.")
        inputs = graph.nodes[name].get("input", [])
        before[name] = {one for one in inputs if one not in graph.constants}
        waiting.extend(before[name])
    return list(TopologicalSorter(before).static_order())


def _translate(made: _Made, graph: Graph, node: Node) -> None:
    name, inputs = node["name"], list(node.get("input", []))
    match node["op"]:
        case "Placeholder":
            _picture(made, node)
        case kind if kind in _CONVOLUTIONS:
            _convolution(made, graph, node)
        case kind if kind in _ELEMENTWISE:
            sides = [_side(made, graph, name, one) for one in inputs]
            made.add(_ELEMENTWISE[kind], sides, name)
        case kind if kind in _PLAIN:
            made.add(_PLAIN[kind], inputs, name)
        case "Relu6":
            _relu6(made, inputs[0], name)
        case "Mean":
            axes = made.constant(f"{name}:axes", _axes(_known(graph, inputs[1])))
            made.add("ReduceMean", [inputs[0], axes], name, keepdims=int(_flag(node, "keep_dims")))
        case "ConcatV2":
            made.add("Concat", inputs[:-1], name, axis=int(_axes(_known(graph, inputs[-1]))[0]))
        case "ResizeBilinear":
            _resize(made, graph, node)
        case "MaxPool":
            size = _pair(node, "ksize")
            made.add(
                "MaxPool", inputs, name, kernel_shape=size, strides=_pair(node, "strides"), **_padding(node)
            )
        case unknown:
            raise CannotConvert(f"The operation {unknown} isn't known.")


def _picture(made: _Made, node: Node) -> None:
    rows, columns, channels = [
        int(side["size"]) for side in node["attr"]["shape"]["shape"]["dim"][1:]
    ]  # the first is how many pictures
    made.shape = [1, channels, rows, columns]
    made.add("Identity", [PICTURE], node["name"])


def _convolution(made: _Made, graph: Graph, node: Node) -> None:
    name, (source, *weights) = node["name"], node["input"]
    kernel, groups = _kernel(_known(graph, weights[0]), depthwise=node["op"] in _DEPTHWISE)
    inputs = [source, made.constant(f"{name}:kernel", kernel)]
    *fused, last = ["", *_fused(node)] if node["op"] in _FUSED else [""]
    if "BiasAdd" in [*fused, last]:
        inputs.append(made.constant(f"{name}:bias", _known(graph, weights[1])))
    target = name if last in {"", "BiasAdd"} else f"{name}:straight"
    how = {"strides": _pair(node, "strides"), "dilations": _pair(node, "dilations"), **_padding(node)}
    made.add("Conv", inputs, target, group=groups, **how)
    match last:
        case "" | "BiasAdd":
            pass
        case "Relu":
            made.add("Relu", [target], name)
        case "Relu6":
            _relu6(made, target, name)
        case unknown:
            raise CannotConvert(f"The fused operation {unknown} isn't known.")


def _kernel(weights: Array, *, depthwise: bool) -> tuple[Array, int]:
    """Return the weights as ONNX has them, and in how many groups the channels go."""
    rows, columns, incoming, outgoing = weights.shape
    if depthwise:
        return weights.transpose(2, 3, 0, 1).reshape(incoming * outgoing, 1, rows, columns), incoming
    return weights.transpose(3, 2, 0, 1), 1


def _side(made: _Made, graph: Graph, name: str, source: str) -> str:
    """Return what one side of an addition or a multiplication is called; a constant gets its new layout."""
    value = graph.constants.get(source)
    if value is None:
        return source
    match value.ndim:
        case 0:
            laid = value
        case 1:
            laid = value.reshape(-1, 1, 1)
        case 4:
            laid = value.transpose(0, 3, 1, 2)
        case _:
            raise CannotConvert(f"The constant {source} has {value.ndim} dimensions.")
    return made.constant(f"{name}:{source}", laid)


def _resize(made: _Made, graph: Graph, node: Node) -> None:
    """Resize as the node does: by corners, by the pixels' middles, or, as TensorFlow used to, by neither."""
    how = "asymmetric"
    if _flag(node, "align_corners"):
        how = "align_corners"
    elif _flag(node, "half_pixel_centers"):
        how = "half_pixel"
    name, (source, size) = node["name"], node["input"]
    sizes = made.constant(f"{name}:size", _known(graph, size).astype(np.int64))
    made.add(
        "Resize",
        [source, "", "", sizes],
        name,
        mode="linear",
        axes=[2, 3],
        coordinate_transformation_mode=how,
    )


def _relu6(made: _Made, source: str, name: str) -> None:
    low = made.constant(f"{name}:low", np.array(0, np.float32))
    high = made.constant(f"{name}:high", np.array(6, np.float32))
    made.add("Clip", [source, low, high], name)


def _known(graph: Graph, name: str) -> Array:
    try:
        return graph.constants[name]
    except KeyError as err:
        raise CannotConvert(f"{name} is computed, where only a constant is known.") from err


def _axes(axes: Array) -> Array:
    return np.array([_AXIS[int(axis) % 4] for axis in axes.reshape(-1)], np.int64)


def _fused(node: Node) -> list[str]:
    return [b64decode(one).decode() for one in node["attr"]["fused_ops"]["list"].get("s", [])]


def _flag(node: Node, name: str) -> bool:
    return bool(node["attr"].get(name, {}).get("b", False))


def _pair(node: Node, name: str) -> list[int]:
    """Return a size or a step of rows and columns."""
    return [int(one) for one in node["attr"][name]["list"]["i"][1:3]]


def _padding(node: Node) -> dict[str, Any]:
    match b64decode(node["attr"]["padding"]["s"]).decode():
        case "SAME":
            return {"auto_pad": "SAME_UPPER"}
        case "VALID":
            return {"auto_pad": "VALID"}
        case unknown:
            raise CannotConvert(f"The padding {unknown} isn't known.")
