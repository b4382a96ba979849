"""Runs a model on a picture, in a guarded child; each child loads its model once."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as complaints
from PIL import Image

from app.detect.decode import within
from app.detect.peaks import find
from app.detect.seen import Box, DetectorFailed, Seen

_LARGEST_SIDE = 2048
# onnxruntime's own have nothing in common but that they are exceptions.
_COMPLAINTS = (
    complaints.EPFail,
    complaints.EngineError,
    complaints.Fail,
    complaints.InvalidArgument,
    complaints.InvalidGraph,
    complaints.InvalidProtobuf,
    complaints.NoModel,
    complaints.NoSuchFile,
    complaints.NotImplemented,
    complaints.RuntimeException,
)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Model:
    """A model that is ready to run; it takes square pictures of `side` pixels."""

    session: onnxruntime.InferenceSession
    side: int
    labels: tuple[str, ...]


def look(path: Path, content: bytes) -> tuple[Seen, ...]:
    """Return what the model sees in the picture, the surest first. Raises Unreadable, DetectorFailed."""
    model = load(path)
    picture = _filling(within(content, model.side), model.side)
    corner = ((model.side - picture.width) // 2, (model.side - picture.height) // 2)
    heat, reach = _run(model, _letterbox(picture, corner, model.side))
    found = find(heat, reach, model.labels, model.side)
    return tuple(Seen(one.label, one.score, _in_picture(one.box, picture.size, corner)) for one in found)


@lru_cache(maxsize=1)
def load(path: Path) -> Model:
    """Return the model in an ONNX file. Raises DetectorFailed for one that isn't as app/detect says."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
        (one,) = session.get_inputs()
        _, channels, rows, columns = one.shape
    except (*_COMPLAINTS, KeyError, OSError, TypeError, ValueError) as err:
        raise DetectorFailed("The detector's model can't be used.") from err
    fits = one.name == "picture" and channels == 3 and rows == columns and isinstance(labels, list)
    if not fits or not isinstance(rows, int) or not 0 < rows <= _LARGEST_SIDE:
        raise DetectorFailed("The detector's model can't be used.")
    return Model(session, rows, tuple(map(str, labels)))


def _filling(picture: Image.Image, side: int) -> Image.Image:
    """Return the picture as large as it can be within the side."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR)


def _letterbox(picture: Image.Image, corner: tuple[int, int], side: int) -> Array:
    """Return the picture amid black, as numbers: models are trained with things in their true shape."""
    page = Image.new("RGB", (side, side))
    page.paste(picture, corner)
    return np.asarray(page, np.float32).transpose(2, 0, 1)[np.newaxis]


def _run(model: Model, page: Array) -> tuple[Array, Array]:
    try:
        heat, reach = model.session.run(["heat", "reach"], {"picture": page})
    except (*_COMPLAINTS, ValueError) as err:
        raise DetectorFailed("The detector's model can't be used.") from err
    if heat.ndim != 4 or heat.shape[1] != len(model.labels) or reach.shape != (1, 4, *heat.shape[2:]):
        raise DetectorFailed("The detector's model can't be used.")
    return heat[0], reach[0]


def _in_picture(box: Box, size: tuple[int, int], corner: tuple[int, int]) -> Box:
    """Return a box of the page, in its pixels, as a box of the picture on it."""
    (width, height), (x, y) = size, corner
    return Box(
        _share(box.left - x, width),
        _share(box.top - y, height),
        _share(box.right - x, width),
        _share(box.bottom - y, height),
    )


def _share(pixels: float, of: int) -> float:
    return min(1.0, max(0.0, pixels / of))
