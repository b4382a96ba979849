"""A picture becomes a model: its subject, its swelling, its mesh, and the GLB of them."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.providers.relief import customs, glb, lattice, skin, subject, swell
from app.providers.relief.lattice import Mesh
from app.providers.relief.wishes import ModelWish

_ARRAYS, _ELEMENTS = 34962, 34963
_FLOAT, _SHORT, _LONG = 5126, 5123, 5125
_LINEAR, _MIPMAPS, _CLAMP = 9729, 9987, 33071
_METALLIC, _ROUGHNESS = 0.0, 0.75


def shaped(content: bytes, triangles: int) -> bytes:
    """Return the mesh of the picture's subject, packed; raise BadInput."""
    found = subject.find(customs.picture(content))
    mesh = lattice.mesh(swell.swell(found), triangles)
    out = io.BytesIO()
    np.savez(out, corners=mesh.corners, normals=mesh.normals, places=mesh.places, faces=mesh.faces)
    return out.getvalue()


def dressed(content: bytes, packed: bytes, wish: ModelWish) -> tuple[bytes, Mapping[str, Any]]:
    """Return the GLB of a packed mesh with the picture as its texture, and the facts of it."""
    with np.load(io.BytesIO(packed)) as arrays:
        mesh = Mesh(**arrays)
    found = subject.find(customs.picture(content))
    pictures = [skin.skin(found, wish.texture)]
    if wish.pbr:
        pictures.append(skin.bumps(found, wish.texture))
    return _written(mesh, pictures), _facts(mesh, wish)


def _facts(mesh: Mesh, wish: ModelWish) -> Mapping[str, Any]:
    low, high = mesh.corners.min(axis=0), mesh.corners.max(axis=0)
    return {
        "triangles": len(mesh.faces),
        "vertices": len(mesh.corners),
        "watertight": _closed(mesh),
        "textureSize": wish.texture,
        "bounds": [[round(float(edge), 4) for edge in corner] for corner in (low, high)],
    }


def _closed(mesh: Mesh) -> bool:
    """Whether every edge is walked exactly once in each direction."""
    walks = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    walked = np.sort(walks[:, 0] * len(mesh.corners) + walks[:, 1])
    back = np.sort(walks[:, 1] * len(mesh.corners) + walks[:, 0])
    return bool((walked[1:] != walked[:-1]).all() and (walked == back).all())


def _written(mesh: Mesh, pictures: list[bytes]) -> bytes:
    short = len(mesh.corners) < 1 << 16
    faces = mesh.faces.astype("<u2" if short else "<u4")
    parts = [array.astype("<f4").tobytes() for array in (mesh.corners, mesh.normals, mesh.places)]
    parts += [faces.tobytes(), *pictures]
    binary, views = b"", []
    for at, part in enumerate(parts):
        view = {"buffer": 0, "byteOffset": len(binary), "byteLength": len(part)}
        if at <= 3:
            view["target"] = _ELEMENTS if at == 3 else _ARRAYS
        views.append(view)
        binary += part + b"\0" * (-len(part) % 4)
    says = {
        "asset": {"version": "2.0", "generator": "Atelier relief"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "relief"}],
        "meshes": [{"name": "relief", "primitives": [_PRIMITIVE]}],
        "accessors": _accessors(mesh, _SHORT if short else _LONG),
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
        "materials": [_material(len(pictures))],
        "images": [{"bufferView": 4 + at, "mimeType": "image/jpeg"} for at in range(len(pictures))],
        "samplers": [{"magFilter": _LINEAR, "minFilter": _MIPMAPS, "wrapS": _CLAMP, "wrapT": _CLAMP}],
        "textures": [{"sampler": 0, "source": at} for at in range(len(pictures))],
    }
    return glb.put_together(says, binary)


_PRIMITIVE = {"attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}, "indices": 3, "material": 0}


def _accessors(mesh: Mesh, index_type: int) -> list[dict[str, Any]]:
    count = len(mesh.corners)
    edges = {"min": mesh.corners.min(axis=0).tolist(), "max": mesh.corners.max(axis=0).tolist()}
    return [
        {"bufferView": 0, "componentType": _FLOAT, "count": count, "type": "VEC3", **edges},
        {"bufferView": 1, "componentType": _FLOAT, "count": count, "type": "VEC3"},
        {"bufferView": 2, "componentType": _FLOAT, "count": count, "type": "VEC2"},
        {"bufferView": 3, "componentType": index_type, "count": mesh.faces.size, "type": "SCALAR"},
    ]


def _material(pictures: int) -> dict[str, Any]:
    surface = {"baseColorTexture": {"index": 0}, "metallicFactor": _METALLIC, "roughnessFactor": _ROUGHNESS}
    bumps = {"normalTexture": {"index": 1, "scale": 0.6}} if pictures > 1 else {}
    return {"name": "relief", "pbrMetallicRoughness": surface, **bumps}
