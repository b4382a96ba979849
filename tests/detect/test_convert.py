"""The converter: small graphs as TensorFlow.js writes them, run by onnxruntime, against numpy."""

import json
from base64 import b64encode

import numpy as np
import onnxruntime
import pytest

from app.detect.convert import CannotConvert, convert, read

DICE = np.random.default_rng(7)
IMAGE = DICE.uniform(-3, 9, (1, 8, 6, 3)).astype(np.float32)


def words(*said: str) -> list[str]:
    return [b64encode(one.encode()).decode() for one in said]


class Sketch:
    """A graph in the making; its constants are written as 16-bit numbers where they are fractions."""

    def __init__(self) -> None:
        sides = [{"size": str(side)} for side in IMAGE.shape]
        self.nodes = [{"name": "image", "op": "Placeholder", "attr": {"shape": {"shape": {"dim": sides}}}}]
        self.manifest: list[dict] = []
        self.weights = b""

    def constant(self, name, value):
        value = np.asarray(value)
        entry = {"name": name, "shape": list(value.shape), "dtype": "int32"}
        if value.dtype.kind == "f":
            entry |= {"dtype": "float32", "quantization": {"dtype": "float16", "original_dtype": "float32"}}
        self.nodes.append({"name": name, "op": "Const", "attr": {}})
        self.manifest.append(entry)
        self.weights += value.astype("<f2" if value.dtype.kind == "f" else "<i4").tobytes()
        return name

    def node(self, kind, *inputs, name="out", **attr):
        self.nodes.append({"name": name, "op": kind, "input": list(inputs), "attr": attr})
        return name

    def files(self):
        told = {
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["model.bin"], "weights": self.manifest}],
        }
        return json.dumps(told).encode(), self.weights

    def run(self, out="out"):
        """Return what the converted graph gives for IMAGE, in TensorFlow's layout."""
        model = convert(read(*self.files()), {out: "found"}, ["cat"])
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (found,) = session.run(["found"], {"picture": IMAGE.transpose(0, 3, 1, 2)})
        return found.transpose(0, 2, 3, 1)


@pytest.fixture
def sketch() -> Sketch:
    return Sketch()


def half(*shape):
    """Return fractions that 16 bits can hold."""
    return DICE.uniform(-1, 1, shape).astype(np.float16).astype(np.float32)


def steps(stride, padding, fused=None):
    more = {"fused_ops": {"list": {"s": words(*fused)}}} if fused else {}
    return {
        "strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}},
        "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
        "padding": {"s": words(padding)[0]},
        **more,
    }


def windows(image, size, stride, padding, fill=0.0):
    """Return image's windows as TensorFlow lays them: at SAME, an odd pixel of padding is below and to the right."""
    if padding == "SAME":
        missing = [max(0, (-(-side // stride) - 1) * stride + size - side) for side in image.shape[1:3]]
        around = [(0, 0), *[(one // 2, one - one // 2) for one in missing], (0, 0)]
        image = np.pad(image, around, constant_values=fill)
    found = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(1, 2))
    return found[:, ::stride, ::stride]  # pictures, rows, columns, channels, size, size


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution(sketch, stride, padding):
    kernel = half(3, 3, 3, 5)
    sketch.node("Conv2D", "image", sketch.constant("kernel", kernel), **steps(stride, padding))

    wanted = np.einsum("brcixy,xyio->brco", windows(IMAGE, 3, stride, padding), kernel)
    np.testing.assert_allclose(sketch.run(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("fused", "then"),
    [
        (["BiasAdd"], lambda found: found),
        (["BiasAdd", "Relu"], lambda found: np.maximum(found, 0)),
        (["BiasAdd", "Relu6"], lambda found: np.clip(found, 0, 6)),
    ],
)
def test_a_convolution_with_what_is_fused_into_it(sketch, fused, then):
    kernel, bias = half(3, 3, 3, 5), half(5)
    names = sketch.constant("kernel", kernel), sketch.constant("bias", bias)
    sketch.node("_FusedConv2D", "image", *names, **steps(2, "SAME", fused))

    wanted = then(np.einsum("brcixy,xyio->brco", windows(IMAGE, 3, 2, "SAME"), kernel) + bias)
    np.testing.assert_allclose(sketch.run(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_convolution_of_each_channel_by_itself(sketch, multiplier):
    kernel, bias = half(5, 5, 3, multiplier), half(3 * multiplier)
    sketch.node(
        "DepthwiseConv2dNative", "image", sketch.constant("a", kernel), name="a-out", **steps(2, "SAME")
    )
    names = sketch.constant("b", kernel), sketch.constant("bias", bias)
    sketch.node(
        "FusedDepthwiseConv2dNative", "image", *names, name="b-out", **steps(1, "VALID", ["BiasAdd", "Relu"])
    )

    def wanted(stride, padding):
        found = np.einsum("brcixy,xyim->brcim", windows(IMAGE, 5, stride, padding), kernel)
        return found.reshape(*found.shape[:3], -1)

    np.testing.assert_allclose(sketch.run("a-out"), wanted(2, "SAME"), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        sketch.run("b-out"), np.maximum(wanted(1, "VALID") + bias, 0), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("kind", "sum_up"),
    [("Add", np.add), ("AddV2", np.add), ("BiasAdd", np.add), ("Mul", np.multiply), ("Sub", np.subtract)],
)
@pytest.mark.parametrize("shape", [(), (3,), (1, 8, 6, 3), (1, 1, 1, 3)])
def test_numbers_and_numbers_for_each_channel(sketch, kind, sum_up, shape):
    value = half(*shape)
    sketch.node(kind, "image", sketch.constant("value", value))

    np.testing.assert_allclose(sketch.run(), sum_up(IMAGE, value), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("Relu", np.maximum(IMAGE, 0)),
        ("Relu6", np.clip(IMAGE, 0, 6)),
        ("Sigmoid", 1 / (1 + np.exp(-IMAGE))),
        ("Identity", IMAGE),
    ],
)
def test_each_number_by_itself(sketch, kind, wanted):
    sketch.node(kind, "image")

    np.testing.assert_allclose(sketch.run(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axes", [[1, 2], [-3, -2], [3]])
def test_a_mean(sketch, axes):
    sketch.node("Mean", "image", sketch.constant("axes", np.array(axes, np.int32)), keep_dims={"b": True})

    wanted = IMAGE.mean(axis=tuple(axes), keepdims=True)
    np.testing.assert_allclose(sketch.run(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_things_in_a_row(sketch, axis):
    sketch.node("Relu", "image", name="above")
    sketch.node("ConcatV2", "image", "above", sketch.constant("axis", np.array(axis, np.int32)))

    np.testing.assert_allclose(sketch.run(), np.concatenate([IMAGE, np.maximum(IMAGE, 0)], axis), rtol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_highest_of_a_window(sketch, stride):
    sketch.node("MaxPool", "image", ksize={"list": {"i": ["1", "3", "3", "1"]}}, **steps(stride, "SAME"))

    wanted = windows(IMAGE, 3, stride, "SAME", fill=-np.inf).max(axis=(-1, -2))
    np.testing.assert_allclose(sketch.run(), wanted, rtol=1e-6)


def places(count, wanted, how):
    """Return where TensorFlow reads each of `wanted` places out of `count`."""
    at = np.arange(wanted)
    match how:
        case "corners":
            found = at * (count - 1) / (wanted - 1)
        case "middles":
            found = (at + 0.5) * count / wanted - 0.5
        case _:
            found = at * count / wanted
    return np.clip(found, 0, count - 1)


@pytest.mark.parametrize("how", ["neither", "corners", "middles"])
def test_another_size(sketch, how):
    flags = {"align_corners": {"b": how == "corners"}, "half_pixel_centers": {"b": how == "middles"}}
    sketch.node("ResizeBilinear", "image", sketch.constant("size", np.array([16, 9], np.int32)), **flags)

    def along(values, count, wanted):
        at = places(count, wanted, how)
        low = np.floor(at).astype(int)
        high, share = np.minimum(low + 1, count - 1), (at - low)[:, None]
        return values[low] * (1 - share) + values[high] * share

    rows = along(IMAGE[0].reshape(8, -1), 8, 16).reshape(16, 6, 3)
    columns = along(rows.transpose(1, 0, 2).reshape(6, -1), 6, 9).reshape(9, 16, 3).transpose(1, 0, 2)
    np.testing.assert_allclose(sketch.run()[0], columns, rtol=1e-4, atol=1e-4)


def test_what_leads_nowhere_is_left_out(sketch):
    sketch.node("Relu", "image")
    sketch.node("TopKV2", "image", name="aside")

    assert sketch.run().shape == IMAGE.shape


def test_nodes_may_come_in_any_order(sketch):
    sketch.node("Relu", "below")
    sketch.node("Sigmoid", "image", name="below")

    assert sketch.run().min() >= 0


def test_the_labels_are_in_the_file(sketch):
    sketch.node("Relu", "image")
    model = convert(read(*sketch.files()), {"out": "found"}, ["cat", "stop sign"])

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == ["cat", "stop sign"]


def unknown_operation(sketch):
    sketch.node("TopKV2", "image")


def unknown_source(sketch):
    sketch.node("Relu", "nobody")


def unknown_padding(sketch):
    sketch.node("Conv2D", "image", sketch.constant("kernel", half(3, 3, 3, 5)), **steps(1, "EXPLICIT"))


def unknown_fusion(sketch):
    names = sketch.constant("kernel", half(3, 3, 3, 5)), sketch.constant("bias", half(5))
    sketch.node("_FusedConv2D", "image", *names, **steps(1, "SAME", ["BiasAdd", "Elu"]))


def computed_size(sketch):
    sketch.node("Relu", "image", name="size")
    sketch.node("ResizeBilinear", "image", "size")


def three_dimensions(sketch):
    sketch.node("Add", "image", sketch.constant("value", half(8, 6, 3)))


@pytest.mark.parametrize(
    "spoil",
    [unknown_operation, unknown_source, unknown_padding, unknown_fusion, computed_size, three_dimensions],
)
def test_what_is_not_known_is_said(sketch, spoil):
    spoil(sketch)

    with pytest.raises(CannotConvert):
        sketch.run()


@pytest.mark.parametrize(
    ("description", "weights"),
    [(b"", b""), (b"{}", b""), (b"[]", b""), (b'{"modelTopology": {"node": [{}]}}', b"")],
)
def test_what_is_no_graph_is_said(description, weights):
    with pytest.raises(CannotConvert):
        read(description, weights)


def test_weights_that_are_cut_off_are_said(sketch):
    sketch.constant("kernel", half(3, 3))
    description, weights = sketch.files()

    with pytest.raises(CannotConvert):
        read(description, weights[:-1])
