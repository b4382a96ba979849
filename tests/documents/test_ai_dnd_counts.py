"""What a real web server has counted is in the database when it has ended."""

import signal

import pytest
import requests

from app.services import access
from tests.api.conftest import Studio, kept_picture
from tests.conftest import environment
from tests.walk.service import running

pytestmark = [pytest.mark.walk, pytest.mark.timeout(60)]


def test_no_use_is_lost_when_the_web_server_is_told_to_stop(rt, board, servers, tmp_path, alice):
    image = kept_picture(rt, Studio(rt, board), alice)
    _, key = access.add_key(rt, "test", alice.user_id, "k")
    with running(environment(servers, tmp_path), tmp_path, "web", web_workers=2) as service:
        for _ in range(40):
            address = f"{service.url}/api/v1/images/{image}"
            assert requests.get(address, headers={"X-API-Key": key}, timeout=5).status_code == 200
        service.signal("web", signal.SIGTERM)
        service.wait("web", 30)
    assert board.scalar("SELECT uses FROM library_assets") == 40
