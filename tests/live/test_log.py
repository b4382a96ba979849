"""What the web process writes to its log while it is watched: never a prompt, a token or a ticket."""

import json
from contextlib import suppress

import requests
from websockets.exceptions import InvalidStatus

from app.services import access
from tests.api.conftest import BASE
from tests.queue.acts import cancel

PROMPT = "A heron that nobody may read of"


def test_no_secret_is_in_the_log(watch, stream, web, token, ticket, board, rt, alice):
    shown, key = token(alice), access.add_key(rt, "test", alice.user_id, "a key")[1]
    tickets = [ticket(alice) for _ in range(3)]
    request = board.put_one(alice, prompt=PROMPT)
    with watch(headers={"X-API-Key": key}).line, watch(subprotocols=["atelier.v1", f"bearer.{shown}"]).line:
        socket = watch()
        socket.ask(type="auth", ticket=tickets[0])
        assert socket.subscribe(requestId=request)["data"]["prompt"] == PROMPT
        socket.ask(type="subscribe", requestId=PROMPT)
        socket.line.send(f'{{"type": "auth", "token": "{shown}", {PROMPT}')
        cancel(board, request)
    for _ in range(2):
        again = watch()
        again.say(type="auth", ticket=tickets[1])
    for bad in (shown[:-3], key[:-3]):
        with suppress(InvalidStatus):
            watch(headers={"Authorization": f"Bearer {bad}"})
    assert stream(None, requestId=request, ticket=tickets[2]).text
    assert stream(None, requestId=request, ticket=tickets[2]).status_code == 401
    assert requests.get(f"{web.url}{BASE}/events?ticket={shown}", timeout=5).status_code in {400, 401}
    written = web.log("web")
    secrets = [PROMPT, shown, key, key[-20:], shown[-20:], *(one[-20:] for one in tickets)]
    assert [secret for secret in secrets if secret in written] == []


def test_the_log_is_written_at_all_and_every_line_can_be_read(web):
    assert requests.get(f"{web.url}{BASE}/requests", timeout=5).status_code == 401
    lines = [json.loads(line) for line in web.log("web").splitlines() if line.startswith("{")]
    assert any(line.get("status") == 401 for line in lines)
