"""A provider that makes everything a 3D asset needs, and remembers what it was asked."""

import json
import struct

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Artifact, Done, ProviderError
from tests.fakes.scripted import Scripted, done, picture

GLB = "model/gltf-binary"
GRIP = {
    "gripBounds": {"minX": 0.4, "minY": 0.6, "maxX": 0.6, "maxY": 0.9},
    "confidence": 0.92,
    "weaponType": "sword",
    "gripDescription": "a wrapped grip below the guard",
    "detectedParts": {"blade": "long", "handle": "wrapped", "guard": "straight"},
}
UPRIGHT = {"needsFlip": False, "currentOrientation": "blade up", "reason": "the grip is at the bottom"}


def glb(word="a"):
    """Return a model without a shape, of its own for each word."""
    scene = json.dumps(
        {"asset": {"version": "2.0", "generator": word}, "meshes": [{"primitives": []}]}
    ).encode()
    scene += b" " * (-len(scene) % 4)
    return (
        struct.pack("<4sII", b"glTF", 2, 20 + len(scene)) + struct.pack("<I4s", len(scene), b"JSON") + scene
    )


class Maker(Scripted):
    """`broken` are the kinds that it can't make, `seen` is what it says of a picture, `mark` goes into its models."""

    kinds = frozenset(Kind)

    def __init__(self, name="fake"):
        super().__init__(name, submit=self._make)
        self.broken = set()
        self.seen = GRIP
        self.mark = ""

    def of(self, kind):
        """Return the tasks of a kind that it was given."""
        return [task for task in self.tasks if task.kind is kind]

    def _make(self, task, _context):
        if task.kind in self.broken:
            raise ProviderError(FailureKind.BAD_REQUEST, "Not this one.")
        match task.kind:
            case Kind.PROMPT:
                return Done((), "fake-1", data={"text": f"better: {task.prompt}"})
            case Kind.VISION:
                return Done((), "fake-1", data=self.seen)
            case Kind.MODEL | Kind.RETEXTURE:
                model = Artifact("model", glb(f"{self.mark}{task.kind} {task.prompt}"), GLB)
                small = Artifact("thumbnail", picture(), "image/png")
                return Done((model, small), "fake-1", data={"triangles": 12})
            case Kind.RIG:
                parts = (
                    Artifact("rig", glb("rigged"), GLB),
                    Artifact("animation", glb("walks"), GLB),
                    Artifact("animation", glb("runs"), GLB),
                )
                return Done(parts, "fake-1")
            case Kind.SPRITES:
                return self._views(task)
            case _:
                return done()

    def _views(self, task):
        angles, side = task.settings["angles"], task.settings["size"]
        frames = [{"angle": angle, "role": f"sprite-{n}"} for n, angle in enumerate(angles)]
        views = [
            Artifact(f"sprite-{n}", picture((n, 0, 0), (side, side)), "image/png") for n in range(len(angles))
        ]
        config = Artifact("config", json.dumps({"size": side, "frames": frames}).encode(), "application/json")
        sheet = Artifact("sheet", picture(), "image/png")
        return Done((sheet, *views, config), "fake-1", data={"frames": frames})
