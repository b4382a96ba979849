"""Pictures and models that the tests make themselves, and what kills or holds a child."""

import io
import json
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 64
STEP = 4
REACH = 8
LABELS = ("cat", "car")


def colour_model(labels: object = LABELS, picture: str = "picture") -> bytes:
    """Return a detector that sees a cat where it is red and a car where it is blue, 16 by 16 pixels large."""
    colours = np.array([[1, -1, -1], [-1, -1, 1]], np.float32).reshape(2, 3, 1, 1) / 255
    constants = [
        numpy_helper.from_array(colours, "colours"),
        numpy_helper.from_array(np.full((1, 4, 16, 16), REACH, np.float32), "far"),
        numpy_helper.from_array(np.array(0, np.float32), "low"),
        numpy_helper.from_array(np.array(1, np.float32), "high"),
    ]
    nodes = [
        helper.make_node("Conv", [picture, "colours"], ["mixed"]),
        helper.make_node("Clip", ["mixed", "low", "high"], ["clipped"]),
        # Of 9 pixels a place, so that the middle of a spot is the highest place of it.
        helper.make_node(
            "AveragePool", ["clipped"], ["heat"], kernel_shape=[9, 9], strides=[STEP, STEP], pads=[4, 4, 1, 1]
        ),
        helper.make_node("Identity", ["far"], ["reach"]),
    ]
    takes = [helper.make_tensor_value_info(picture, TensorProto.FLOAT, [1, 3, SIDE, SIDE])]
    gives = [
        helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, 2, 16, 16]),
        helper.make_tensor_value_info("reach", TensorProto.FLOAT, [1, 4, 16, 16]),
    ]
    graph = helper.make_graph(nodes, "colours", takes, gives, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"labels": json.dumps(labels)})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def spots(size=(SIDE, SIDE), **where: tuple[int, int]) -> Image.Image:
    """Return a white picture with a spot of nine pixels a side around each place; the keywords are their colours."""
    picture = Image.new("RGB", size, "white")
    for colour, (x, y) in where.items():
        picture.paste(colour, (x - 4, y - 4, x + 5, y + 5))
    return picture


def saved(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """Return a tiny PNG of one bit a pixel and any size."""
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * min(height, 1000), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def die(*_looked_at: object) -> None:
    os._exit(3)


def hang(*_looked_at: object) -> None:
    time.sleep(60)


def fill(*_looked_at: object) -> int:
    """Take more memory than any child may."""
    return len(bytearray(1 << 40))


def placed(folder: Path, content: bytes) -> Path:
    model = folder / "model.onnx"
    model.write_bytes(content)
    return model
