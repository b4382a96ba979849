"""The fakes' house itself: what it counts, keeps to itself, and notices."""

import json

import pytest
import requests

from app.egress.errors import EgressError, Unanswered
from app.egress.sender import Egress
from tests.conformance.mutants import mutants
from tests.fakes.house import KEY, House, faults, files

_AUTH = {"Authorization": f"Bearer {KEY}"}
_BODY = {"model": "gpt-image-2", "prompt": "x"}


def _post(house: House, egress: Egress, **more: object):
    url = house.url("openai") + "/images/generations"
    return egress.send(
        "POST", url, seconds=2, limit=1 << 20, ours=True, headers=_AUTH, json={**_BODY, **more}
    )


def test_a_credential_at_the_artifact_host_is_a_leak(house: House) -> None:
    requests.get(house.file(b"x"), headers=_AUTH, timeout=5)
    requests.get(house.file(b"x"), params={"x": KEY}, timeout=5)
    requests.get(house.file(b"x"), timeout=5)
    assert len(house.leaks) == 2
    house.leaks.clear()


def test_a_credential_is_not_kept_and_that_it_came_is(house: House, egress: Egress) -> None:
    _post(house, egress)
    assert house.calls[0].authorized
    assert KEY not in repr(house.calls[0])


def test_what_is_taken_is_charged_and_what_is_refused_is_not(house: House, egress: Egress) -> None:
    assert _post(house, egress).ok
    assert _post(house, egress, response_format="b64_json").status == 400
    assert _post(house, egress, size="1000x1000").status == 400
    assert house.charges["openai"] == 1


def test_scripted_replies_come_in_turn_and_then_the_fake_again(house: House, egress: Egress) -> None:
    house.script("openai", "/images/", faults.answer(503), faults.html(502))
    assert [_post(house, egress).status for _ in range(3)] == [503, 502, 200]


def test_a_hidden_answer_is_charged(house: House, egress: Egress) -> None:
    house.script("openai", "/images/", faults.hidden())
    with pytest.raises(Unanswered):
        _post(house, egress)
    assert house.charges["openai"] == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("reset", None),
        ("silent", None),
        ("reset_midway", 200),
        ("truncated", 200),
        ("unterminated", 200),
        ("drip", 200),
    ],
)
def test_a_fault_of_the_line_is_one(house: House, egress: Egress, fault: str, status: int | None) -> None:
    house.script("openai", "/images/", getattr(faults, fault)())
    url = house.url("openai") + "/images/generations"
    with pytest.raises(EgressError) as caught:
        egress.send("POST", url, seconds=0.3, limit=1 << 20, ours=True, headers=_AUTH, json=_BODY)
    assert caught.value.sent
    assert caught.value.status == status


def test_a_new_test_finds_nothing_of_the_last(house: House) -> None:
    house.script("openai", ".", faults.html(), forever=True)
    house.state("openai")["flag"] = True
    house.spoil(b"x")
    house.mislead("http://127.0.0.1:1/")
    house.reset()
    assert house.art(files.png()) == files.png()
    assert house.file(b"x").startswith(house.cdn)
    assert house.state("openai") == {}
    assert requests.get(house.url("openai") + "/models", timeout=5).status_code == 401


def test_mutants_differ_from_what_they_are_made_of_in_every_place() -> None:
    answer = {"id": "x", "data": [{"url": "y"}]}
    found = mutants(answer, 1000)
    assert answer not in found
    assert {"id": "x"} in found
    assert {"id": None, "data": [{"url": "y"}]} in found
    assert {"id": "x", "data": [{"url": []}]} in found
    assert all(json.dumps(one) for one in found)
    assert len(mutants(answer, 10)) <= 10
