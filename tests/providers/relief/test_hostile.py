"""Models from outside that lie, end early or ask for too much: refused in words, quickly, without a crash."""

import copy
import json
import struct
import time

import psutil
import pytest

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import ProviderError
from app.providers.relief import glb
from tests.providers.relief.conftest import a_task

KINDS = [Kind.RETEXTURE, Kind.SPRITES]


def changed(model, change):
    """Return the model after `change` has had its way with its JSON."""
    parts = glb.take_apart(model)
    says = copy.deepcopy(dict(parts.says))
    change(says)
    return glb.put_together(says, parts.binary)


def with_text(model, text):
    binary = glb.take_apart(model).binary
    text += b" " * (-len(text) % 4)
    body = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def many(says, name, count):
    says[name] = [{}] * count


def shown_often(says):
    says["nodes"] = [{"mesh": 0}] * 150
    says["scenes"] = [{"nodes": list(range(150))}]


LIES = {
    "more corners than bytes": lambda says: says["accessors"][0].update(count=4_000_000),
    "four billion corners": lambda says: says["accessors"][0].update(count=4_000_000_000),
    "corners of no bytes": lambda says: says["accessors"][0].update(count=1_600_000, bufferView=None),
    "a count in words": lambda says: says["accessors"][0].update(count="many"),
    "bytes beyond the end": lambda says: says["bufferViews"][0].update(byteLength=1 << 40),
    "bytes before the start": lambda says: says["bufferViews"][0].update(byteOffset=-8),
    "a buffer elsewhere": lambda says: says["buffers"][0].update(uri="http://127.0.0.1/secret.bin"),
    "a buffer of the host": lambda says: says["buffers"][0].update(uri="/etc/passwd"),
    "an image elsewhere": lambda says: says["images"].append({"uri": "../../secret.png"}),
    "an image that is none": lambda says: says["images"].append({"bufferView": 0}),
    "a circle of nodes": lambda says: says["nodes"][0].update(children=[0]),
    "a hundred thousand nodes": lambda says: many(says, "nodes", 100_000),
    "one mesh shown too often": shown_often,
    "a mesh that isn't there": lambda says: says["nodes"][0].update(mesh=7),
    "no meshes": lambda says: says.update(meshes=[]),
    "meshes in words": lambda says: says.update(meshes="all"),
    "no scene": lambda says: says.pop("scenes"),
    "an accessor of another sort": lambda says: says["accessors"][0].update(type="MAT9"),
    "corners far beyond": lambda says: says["meshes"][0]["primitives"][0].update(indices=1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lie", LIES)
def test_a_model_that_lies_is_refused(made, model, kind, lie):
    _refused(made, kind, changed(model, LIES[lie]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [4, 12, 30, 2000, -1000, -4])
def test_a_model_that_ends_early_is_refused(made, model, kind, length):
    _refused(made, kind, model[:length])


@pytest.mark.parametrize(
    "text", [b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 100_000, b"[]", b"nonsense", b"\xff\xfe", b"{}"]
)
def test_a_description_that_is_deep_or_none_is_refused(made, model, text):
    for kind in KINDS:
        _refused(made, kind, with_text(model, text))


def test_deep_nodes_are_refused(made, model):
    def dig(says):
        says["nodes"] = [{"children": [at + 1]} for at in range(5000)] + [{"mesh": 0}]

    _refused(made, Kind.SPRITES, changed(model, dig))


@pytest.mark.parametrize(
    "name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu"]
)
def test_what_needs_an_extension_is_unsupported(made, model, name):
    needy = changed(model, lambda says: says.update(extensionsRequired=[name]))

    with pytest.raises(ProviderError) as refused:
        made(Kind.SPRITES, model=needy)

    assert refused.value.failure.kind is FailureKind.UNSUPPORTED
    assert name in str(refused.value)


def test_a_model_of_too_many_bytes_is_refused_before_any_work(relief):
    with pytest.raises(ProviderError) as refused:
        relief.plan(a_task(Kind.SPRITES, model=bytes((64 << 20) + 1)))

    assert refused.value.failure.kind is FailureKind.BAD_REQUEST


def test_a_model_is_needed(relief):
    for kind in KINDS:
        with pytest.raises(ProviderError) as refused:
            relief.plan(a_task(kind))
        assert refused.value.failure.kind is FailureKind.BAD_REQUEST


def test_indices_that_point_nowhere_are_refused(made, model):
    parts = glb.take_apart(model)
    view = parts.says["bufferViews"][3]
    binary = bytearray(parts.binary)
    binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]] = b"\xff" * view["byteLength"]

    _refused(made, Kind.SPRITES, glb.put_together(parts.says, bytes(binary)))


def _refused(made, kind, content):
    children = {child.pid for child in psutil.Process().children()}
    began = time.monotonic()
    with pytest.raises(ProviderError) as refused:
        made(kind, model=content)
    assert refused.value.failure.kind is FailureKind.BAD_REQUEST, refused.value
    assert time.monotonic() - began < 10
    assert children <= {child.pid for child in psutil.Process().children()} or not children
    json.dumps(str(refused.value))
