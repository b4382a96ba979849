"""Every token that isn't one of ours, whole and still good, is 401 and nothing else [reliability 6.1]."""

import base64
import hashlib
import hmac
import json
import time
import uuid

import jwt
import pytest

from app.config import BadSettings, load
from app.services import access
from tests.api.conftest import BASE, Call
from tests.conftest import SECRET

HERE = f"{BASE}/requests"


@pytest.fixture
def claims(alice):
    """What a good access token of alice's says."""
    now = int(time.time())
    return {
        "sub": str(alice.user_id),
        "type": "access",
        "fresh": False,
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + 900,
        "aud": "atelier",
        "iss": "atelier",
    }


def signed(claims, secret=SECRET, algorithm="HS256", **headers):
    return jwt.encode(claims, secret, algorithm=algorithm, headers=headers)


def by_hand(header, claims, secret=SECRET):
    """Return a token signed with HMAC-SHA256 whatever its header and claims say: PyJWT won't make these."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.new(secret.encode(), b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def without(name):
    return lambda claims: signed({key: value for key, value in claims.items() if key != name})


class After(int):
    """Seconds after the good token was made: a forgery is made when it is used, however long the tests take until then."""


def said_now(claims, changed):
    return {
        **claims,
        **{name: claims["iat"] + n if isinstance(n, After) else n for name, n in changed.items()},
    }


def but(**changed):
    return lambda claims: signed(said_now(claims, changed))


def odd(**changed):
    return lambda claims: by_hand({"alg": "HS256", "typ": "JWT"}, said_now(claims, changed))


def as_odd(name, make, seconds):
    """Say a time in a way that is none."""
    return lambda claims: odd(**{name: make(claims["iat"] + seconds)})(claims)


FORGED = {
    **{f"no {name}": without(name) for name in ("exp", "iat", "jti", "aud", "iss", "sub", "type")},
    "another audience": but(aud="another"),
    "another issuer": but(iss="another"),
    "an empty audience": but(aud=[]),
    "expired": but(iat=After(-2000), exp=After(-100)),
    "expired beyond the leeway": but(iat=After(-2000), exp=After(-12)),
    "not valid yet": but(nbf=After(600)),
    "issued in the future": but(iat=After(600), exp=After(900)),
    "good for a year": but(exp=After(365 * 86_400)),
    "good for ever": but(exp=2**53),
    "ends before it begins": but(iat=After(8), exp=After(5)),
    "refresh instead of access": but(type="refresh"),
    "another type": but(type="admin"),
    "sub is no uuid": but(sub="alice"),
    "sub is empty": but(sub=""),
    "sub is nobody": but(sub=str(uuid.uuid4())),
    "sub is a number": odd(sub=1),
    "sub is null": odd(sub=None),
    "sub is a list": odd(sub=["a"]),
    "jti is a number": odd(jti=7),
    "jti is null": odd(jti=None),
    "jti is empty": odd(jti=""),
    "exp is text": as_odd("exp", str, 900),
    "exp is a float": as_odd("exp", float, 900.5),
    "exp is true": odd(exp=True),
    "exp is null": odd(exp=None),
    "exp is infinite": odd(exp=float("inf")),
    "exp is no number": odd(exp=float("nan")),
    "exp is a list": as_odd("exp", lambda at: [at], 900),
    "exp is huge": odd(exp=10**400),
    "iat is text": as_odd("iat", str, 0),
    "iat is true": odd(iat=True),
    "iat is minus infinity": odd(iat=float("-inf")),
    "another secret": lambda claims: signed(claims, "x" * 44),
    "an empty secret": lambda claims: by_hand({"alg": "HS256", "typ": "JWT"}, claims, ""),
    "alg none": lambda claims: signed(claims, None, "none"),
    "alg None in disguise": lambda claims: by_hand({"alg": "nOnE", "typ": "JWT"}, claims),
    "alg HS512": lambda claims: signed(claims, SECRET * 2, "HS512"),
    "alg HS384": lambda claims: signed(claims, SECRET * 2, "HS384"),
    "alg RS256 with our secret": lambda claims: by_hand({"alg": "RS256", "typ": "JWT"}, claims),
    "no alg": lambda claims: by_hand({"typ": "JWT"}, claims),
    "kid that is a path": lambda claims: by_hand({"alg": "HS256", "kid": "../../../../dev/null"}, claims, ""),
    "kid that is sql": lambda claims: by_hand({"alg": "HS256", "kid": "x' UNION SELECT 'k"}, claims, "k"),
    "kid that is no text": lambda claims: by_hand({"alg": "HS256", "kid": {"a": 1}}, claims),
    "jku of somebody": lambda claims: by_hand({"alg": "HS256", "jku": "https://evil.example/k"}, claims, "k"),
    "crit that nobody knows": lambda claims: by_hand({"alg": "HS256", "crit": ["x"], "x": 1}, claims),
    "claims that are a list": lambda _claims: by_hand({"alg": "HS256", "typ": "JWT"}, ["a"]),
    "no signature": lambda claims: signed(claims).rpartition(".")[0] + ".",
    "two parts": lambda claims: signed(claims).rpartition(".")[0],
    "four parts": lambda claims: signed(claims) + ".x",
    "another's signature": lambda claims: signed(claims).rpartition(".")[0]
    + "."
    + signed({**claims, "aud": "x"}).rpartition(".")[2],
    "garbage": lambda _claims: "garbage",
    "dots": lambda _claims: "..",
    "not ascii": lambda _claims: "tökén",
    "very long": lambda _claims: "x" * 60_000,
}  # fmt: skip


def refused(answer):
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="atelier"'
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "access_denied"
    assert answer.json["error"] in ("Access denied", "Invalid token")
    return answer.json["error"]


def test_the_claims_that_the_forgeries_start_from_are_good(call: Call, claims):
    answer = call(None, "GET", HERE, headers={"Authorization": f"Bearer {signed(claims)}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_token_that_is_not_ours_is_401(call, claims, forge):
    answer = call(None, "GET", HERE, headers={"Authorization": f"Bearer {forge(claims)}"})
    assert refused(answer) == "Invalid token"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWxpY2U6c2VjcmV0",
        "Token abc",
        "bearer",
        "Bearer a b c",
        "Bearer\tabc",
        ", Bearer x",
    ],
)
def test_a_header_that_is_no_bearer_token_is_401(call, header):
    refused(call(None, "GET", HERE, headers={"Authorization": header}))


def test_a_good_token_of_another_scheme_is_401(call, claims):
    for scheme in ("Basic", "Token", "JWT"):
        refused(call(None, "GET", HERE, headers={"Authorization": f"{scheme} {signed(claims)}"}))


def test_nothing_at_all_is_access_denied(call):
    assert refused(call(None, "GET", HERE)) == "Access denied"


def test_a_token_in_the_address_a_cookie_or_the_body_is_none(call, claims, client):
    token = signed(claims)
    refused(call(None, "GET", f"{HERE}?jwt={token}&token={token}&access_token={token}"))
    client.set_cookie("access_token_cookie", token)
    refused(call(None, "GET", HERE))
    refused(call(None, "POST", "submit", json={"access_token": token}))


def test_a_bad_token_beside_a_good_key_is_401(call, rt, alice):
    _, key = access.add_key(rt, "test", alice.user_id, "k")
    refused(call(None, "GET", HERE, headers={"X-API-Key": key, "Authorization": "Bearer garbage"}))


def test_an_access_token_does_not_refresh(call, as_, alice):
    refused(call(alice, "POST", "/api/auth/refresh"))


def test_a_user_that_is_gone_is_401(call, claims, board, alice):
    board.do("DELETE FROM users WHERE id = :id", id=alice.user_id)
    refused(call(None, "GET", HERE, headers={"Authorization": f"Bearer {signed(claims)}"}))


def test_a_user_that_is_locked_out_is_401(call, claims, board, alice):
    board.do("UPDATE users SET disabled_at = now() WHERE id = :id", id=alice.user_id)
    refused(call(None, "GET", HERE, headers={"Authorization": f"Bearer {signed(claims)}"}))


def test_a_token_from_before_tokens_valid_after_is_401(call, claims, board, alice):
    board.do("UPDATE users SET tokens_valid_after = now() WHERE id = :id", id=alice.user_id)
    old = signed({**claims, "iat": claims["iat"] - 5})
    refused(call(None, "GET", HERE, headers={"Authorization": f"Bearer {old}"}))


def test_a_token_whose_role_was_written_by_its_bearer_has_the_role_of_the_user(call, claims):
    token = signed({**claims, "role": "admin"})
    answer = call(None, "GET", "/api/auth/users", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_secret_under_32_bytes_keeps_the_server_from_starting(settings, monkeypatch, tmp_path, secret):
    monkeypatch.setenv("JWT_SECRET", secret)
    with pytest.raises(BadSettings, match="JWT_SECRET"):
        load(tmp_path / "none.env")


def test_no_secret_keeps_the_server_from_starting(settings, monkeypatch, tmp_path):
    monkeypatch.delenv("JWT_SECRET")
    with pytest.raises(BadSettings, match="JWT_SECRET"):
        load(tmp_path / "none.env")


def test_thirty_two_bytes_are_enough_in_any_script(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("JWT_SECRET", "ä" * 16)
    assert load(tmp_path / "none.env").jwt_secret == "ä" * 16
