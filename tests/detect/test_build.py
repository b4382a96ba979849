"""The model is made of its package, and of nothing else."""

import hashlib
import io
import tarfile
from base64 import b64encode

import numpy as np
import pytest

from app.detect import build as builder
from app.detect.build import MODEL, NOTICE, NotThePackage, build
from app.detect.gaze import load
from app.detect.labels import COCO
from app.detect.seen import DetectorFailed
from tests.detect.test_convert import Sketch, steps


def parts():
    """Return the files of a package whose model is the smallest that has the names of the real one."""
    sketch = Sketch()
    sketch.nodes[0]["attr"]["shape"]["shape"]["dim"] = [{"size": str(side)} for side in (1, 8, 8, 3)]
    for name, channels in (("keypoints", 80), ("wh", 4)):
        kernel = sketch.constant(f"{name}/kernel", np.zeros((1, 1, 3, channels), np.float32))
        sketch.node("Conv2D", "image", kernel, name=f"tower_0/{name}", **steps(4, "SAME"))
    description, weights = sketch.files()
    return {"models/centernet.json": description, "models/centernet.bin": weights, "LICENSE": b"MIT License"}


def packed(folder, files):
    package = folder / "package.tgz"
    with tarfile.open(package, "w:gz") as target:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return package, b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()


def test_the_model_is_made_with_its_notice_beside_it(tmp_path):
    package, its_sum = packed(tmp_path, parts())

    model = build(package, tmp_path / "data" / "models", its_sum)

    assert {file.name for file in model.parent.iterdir()} == {MODEL, NOTICE}
    assert load(model).labels == COCO
    notice = (model.parent / NOTICE).read_text()
    assert "MIT License" in notice
    assert "NOT known" in notice


def test_another_package_is_refused_before_it_is_opened(tmp_path):
    package, _ = packed(tmp_path, parts())

    with pytest.raises(NotThePackage):
        build(package, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("missing", ["models/centernet.json", "models/centernet.bin", "LICENSE"])
def test_a_package_without_its_parts_is_refused(tmp_path, missing):
    files = parts()
    del files[missing]
    package, its_sum = packed(tmp_path, files)

    with pytest.raises(NotThePackage):
        build(package, tmp_path / "models", its_sum)
    assert not (tmp_path / "models").exists()


def test_a_failure_leaves_the_model_of_before(tmp_path):
    files = parts() | {"models/centernet.bin": b""}
    package, its_sum = packed(tmp_path, files)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / MODEL).write_bytes(b"of before")

    with pytest.raises(builder.CannotConvert):
        build(package, folder, its_sum)
    assert (folder / MODEL).read_bytes() == b"of before"


def test_the_command_ends_with_a_sentence(tmp_path, monkeypatch):
    package, _ = packed(tmp_path, parts())
    monkeypatch.setattr(builder.sys, "argv", ["build", str(package), str(tmp_path / "models")])

    with pytest.raises(SystemExit) as ended:
        builder.main()
    assert "SHA-512" in str(ended.value)


def test_the_kinds_of_things_are_cocos():
    assert len(set(COCO)) == len(COCO) == 80
    assert (COCO[0], COCO[15], COCO[16], COCO[79]) == ("person", "cat", "dog", "toothbrush")


def test_a_model_that_is_none_is_said(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"of before")

    with pytest.raises(DetectorFailed):
        load(tmp_path / "model.onnx")
