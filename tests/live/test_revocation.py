"""What was shown is looked at again and again: a socket stays open for longer than a token may be good.

In this process: the web process looks twice a minute, which is long for a test.
"""

import pytest
from sqlalchemy.exc import OperationalError

from app.api.live import watchers
from app.api.live.watchers import GOING_AWAY, NOT_LET_IN, Client, Watchers
from app.services import access, tokens
from app.services.credential import Credential
from tests.conftest import until
from tests.live.test_authentication import claims_of


class Guest(Client):
    """A client that only remembers how it was ended."""

    ended = None

    def end(self, code, reason):
        self.ended = code

    def tick(self, now):
        pass


class TestRevocation:
    @pytest.fixture
    def keeper(self, rt, monkeypatch):
        monkeypatch.setattr(watchers, "_CHECK_SECONDS", 0.1)
        made = Watchers(rt)
        yield made
        made.close()

    @pytest.fixture
    def guest(self, rt, keeper):
        """Return a function that lets somebody in with a fresh token."""

        def enter(who):
            shown = claims_of(tokens.access(rt, who))
            return let(keeper, tokens.credential(rt, shown)), shown

        return enter

    @pytest.mark.parametrize("how", ["revoked", "all revoked", "locked out", "another role", "gone"])
    def test_what_is_no_longer_good_closes_the_socket_and_no_other(self, rt, board, guest, alice, bob, how):
        (hers, claims), (his, _) = guest(alice), guest(bob)
        match how:
            case "revoked":
                access.revoke(rt, claims.jti, rt.clock())
            case "all revoked":
                access.revoke_all(rt, alice.user_id)
            case "locked out":
                board.do("UPDATE users SET disabled_at = now() WHERE id = :id", id=alice.user_id)
            case "another role":
                board.do("UPDATE users SET role = 'viewer' WHERE id = :id", id=alice.user_id)
            case _:
                board.do("DELETE FROM users WHERE id = :id", id=alice.user_id)
        assert until(lambda: hers.ended) == NOT_LET_IN
        assert his.ended is None

    def test_a_revoked_key_closes_the_socket(self, rt, keeper, alice):
        key_id, _ = access.add_key(rt, "test", alice.user_id, "a key")
        hers = let(keeper, tokens.key_credential(rt, key_id, alice))
        access.revoke_key(rt, "test", key_id, owner=None)
        assert until(lambda: hers.ended) == NOT_LET_IN

    def test_a_database_that_is_away_closes_nobodys(self, guest, alice, monkeypatch):
        hers, _ = guest(alice)
        looked = []

        def away(*given):
            looked.append(given)
            raise OperationalError("SELECT", {}, Exception())

        monkeypatch.setattr(access, "by_token", away)
        until(lambda: len(looked) > 2)
        assert hers.ended is None

    def test_each_token_is_looked_at_once_however_many_sockets_it_opened(self, rt, keeper, alice):
        looked = []
        shown = [
            Credential(name, alice, None, lambda name=name: looked.append(name) or alice) for name in "ab"
        ]
        for n in range(10):
            let(keeper, shown[n % 2])
        keeper._check()
        assert sorted(looked[:2]) == ["a", "b"]
        assert looked.count("a") == looked.count("b")

    def test_a_service_that_stops_sends_all_away_at_once(self, keeper, guest, alice):
        hers, _ = guest(alice)
        keeper.leave_when(lambda: True)
        until(lambda: hers.ended == GOING_AWAY, 0.5)


def let(keeper, credential):
    guest = Guest()
    keeper.enter(guest)
    keeper.know(guest, credential)
    return guest
