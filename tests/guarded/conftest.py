import time
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    def wait(truth: Callable[[], bool], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not truth():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)

    return wait
