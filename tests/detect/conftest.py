from collections.abc import Iterator
from pathlib import Path

import pytest

from app.detect.local import LocalDetector
from tests.detect.pictures import colour_model, placed


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDetector]:
    """Return a detector that sees by colour."""
    detector = LocalDetector(placed(tmp_path_factory.mktemp("models"), colour_model()))
    yield detector
    detector.close()


@pytest.fixture(scope="session")
def real_model() -> Path:
    """Return the real weights, where scripts/fetch-detector has brought them."""
    model = Path(__file__).parents[2] / "data" / "models" / "centernet.onnx"
    if not model.is_file():
        pytest.skip("NO WEIGHTS: run ./scripts/fetch-detector, and this test looks at real pictures")
    return model
