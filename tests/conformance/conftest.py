"""The house of fakes, empty at the start of each test, and a way out that may reach its artifact host."""

from collections.abc import Iterator

import pytest

from app.egress.sender import Egress
from tests.fakes.house import House


@pytest.fixture(scope="session")
def _house() -> Iterator[House]:
    with House() as house:
        yield house


@pytest.fixture
def house(_house: House) -> Iterator[House]:
    _house.reset()
    yield _house
    assert not _house.crashes, _house.crashes[0]
    assert not _house.leaks


@pytest.fixture
def egress(house: House) -> Egress:
    return Egress(allow=(house.cdn.removeprefix("http://"),))
