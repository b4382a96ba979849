"""`atelier cost`, asked of a service; `atelier budget`, on a real database."""

import pytest

from tests.cli.conftest import problem
from tests.queue import books

PATH = "/api/visual-generation/costs"
ROW = {"calls": 1200, "cost": 12.5, "possibly": 0.5, "wasted": 0.0314, "currency": "USD"}
ANSWER = {
    "by": "day",
    "from": "2026-10-21T00:00:00.000Z",
    "to": "2026-11-20T12:00:00.000Z",
    "currency": "USD",
    "total": {**ROW, "calls": 1201},
    "items": [{"key": "2026-11-20", **ROW}, {"key": None, **ROW, "calls": 1}],
}


def lines(result):
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


class TestCost:
    def test_it_is_shown_line_by_line_with_the_sum_at_the_end(self, atelier, key, httpserver):
        httpserver.expect_request(PATH).respond_with_json(ANSWER)
        shown = lines(atelier("cost"))
        assert "2026-10-21 to 2026-11-20, in USD" in " ".join(shown[0])
        assert ["2026-11-20", "1,200", "12.5000", "0.5000", "0.0314"] in shown
        assert ["-", "1", "12.5000", "0.5000", "0.0314"] in shown
        assert ["all", "1,201", "12.5000", "0.5000", "0.0314"] in shown

    def test_what_is_wanted_is_what_is_asked_for(self, atelier, key, httpserver):
        wanted = {"by": "provider", "from": "2026-11-01", "to": "2026-11-02T10:00:00Z", "limit": "7"}
        httpserver.expect_request(PATH, query_string=wanted).respond_with_json(ANSWER)
        words = (part for name, value in wanted.items() for part in (f"--{name}", value))
        assert atelier("cost", *words).exit_code == 0

    def test_without_a_wish_none_is_sent(self, atelier, key, httpserver):
        httpserver.expect_request(PATH, query_string={"by": "day", "limit": "100"}).respond_with_json(ANSWER)
        assert atelier("cost").exit_code == 0

    def test_a_key_that_would_command_the_terminal_is_shown_plainly(self, atelier, key, httpserver):
        items = [{"key": "a\x1b[2Jb", **ROW}]
        httpserver.expect_request(PATH).respond_with_json({**ANSWER, "by": "project", "items": items})
        assert "\x1b[2J" not in atelier("cost", "--by", "project").stdout

    def test_a_moment_that_is_none_is_said(self, atelier, key, httpserver):
        faults = [{"field": "from", "message": "Not a valid datetime."}]
        httpserver.expect_request(PATH).respond_with_response(
            problem(400, "The request is not valid.", errors=faults)
        )
        result = atelier("cost", "--from", "soon")
        assert (result.exit_code, "from: Not a valid datetime." in result.stderr) == (1, True)

    def test_another_sum_than_there_is_is_refused(self, atelier, key):
        assert atelier("cost", "--by", "colour").exit_code == 2


class TestBudget:
    @pytest.fixture(autouse=True)
    def _started(self, started):
        return started

    def rows(self, result):
        return {tuple(line[:2]): line[2:6] for line in lines(result) if len(line) == 7}

    def test_it_is_set_and_shown(self, atelier, alice, board):
        result = atelier("budget", "alice", "--daily", "5", "--monthly", "99.5")
        assert "The budget of alice was set." in result.stderr
        assert self.rows(result) == {
            ("everybody", "daily"): ["-", "0.0000", "0.0000", "-"],
            ("everybody", "monthly"): ["-", "0.0000", "0.0000", "-"],
            ("alice", "daily"): ["5.0000", "0.0000", "0.0000", "5.0000"],
            ("alice", "monthly"): ["99.5000", "0.0000", "0.0000", "99.5000"],
        }
        entry = board.one("SELECT actor, action, target FROM audit_log")
        assert tuple(entry) == ("command line", "user.budget", "alice")

    def test_what_is_reserved_is_no_longer_left(self, atelier, alice, board):
        atelier("budget", "alice", "--daily", "5")
        books.ask(board, alice, "1.25", books.Limits())
        assert self.rows(atelier("budget", "alice"))["alice", "daily"] == [
            "5.0000",
            "0.0000",
            "1.2500",
            "3.7500",
        ]

    def test_none_takes_it_away_and_the_settings_hold_again(self, atelier, alice, board, monkeypatch):
        monkeypatch.setenv("CLIENT_BUDGET_DAILY_USD", "2")
        atelier("budget", "alice", "--daily", "5", "--monthly", "7")
        shown = self.rows(atelier("budget", "alice", "--daily", "none"))
        assert shown["alice", "daily"][0] == "2.0000"
        assert shown["alice", "monthly"][0] == "7.0000"

    def test_without_a_name_everybodys_and_those_of_their_own_are_shown(
        self, atelier, alice, bob, monkeypatch
    ):
        monkeypatch.setenv("BUDGET_MONTHLY_USD", "50")
        atelier("budget", "bob", "--daily", "0")
        shown = self.rows(atelier("budget"))
        assert {whose for whose, _ in shown} == {"everybody", "bob"}
        assert shown["everybody", "monthly"][0] == "50.0000"
        assert shown["bob", "daily"] == ["0.0000", "0.0000", "0.0000", "0.0000"]

    def test_to_look_changes_nothing(self, atelier, alice, board):
        atelier("budget", "alice")
        assert (
            board.scalar("SELECT count(*) FROM audit_log")
            == board.scalar("SELECT count(*) FROM budgets")
            == 0
        )

    @pytest.mark.parametrize("amount", ["-1", "much", "1000000", "nan", "inf"])
    def test_an_amount_that_makes_no_sense_is_refused(self, atelier, alice, board, amount):
        result = atelier("budget", "alice", f"--daily={amount}")
        assert result.exit_code == 2
        assert amount in result.stderr
        assert board.scalar("SELECT count(*) FROM budgets") == 0

    def test_an_amount_without_a_name_is_refused(self, atelier):
        result = atelier("budget", "--daily", "5")
        assert (result.exit_code, "whose budget" in result.stderr) == (2, True)

    def test_somebody_who_is_not_there_is_said(self, atelier):
        result = atelier("budget", "nobody", "--daily", "5")
        assert (result.exit_code, "no user nobody" in result.stderr) == (1, True)

    def test_a_file_of_prices_that_is_wrong_is_said(self, atelier, monkeypatch, tmp_path):
        (tmp_path / "prices.toml").write_text("price = 3")
        monkeypatch.setenv("PRICES_FILE", str(tmp_path / "prices.toml"))
        result = atelier("budget")
        assert (result.exit_code, "PRICES_FILE: " in result.stderr) == (1, True)
