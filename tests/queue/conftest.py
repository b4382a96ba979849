"""What the tests of the queue share: the deadlocks that must not be."""

import pytest

from tests.conftest import until
from tests.queue import truths


@pytest.fixture
def no_deadlock(board):
    """Fail the test where the server found a deadlock. A session tells its figures, at the latest, when it ends."""
    before = truths.deadlocks(board)
    yield
    board.db.engine.dispose()
    until(lambda: board.scalar(OTHERS) == 0)
    assert truths.deadlocks(board) == before


OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
