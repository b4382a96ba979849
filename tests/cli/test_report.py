"""`atelier report`: the guide's two queries."""

from sqlalchemy import text

from app.domain.vocabulary import Kind, Priority


def test_what_was_made_is_counted_by_type_and_status_with_its_average(atelier, started, board, alice):
    ids = board.put(alice, 4, type=Kind.COVER)
    with board.db.begin() as tx:
        for request_id, seconds in zip(ids[:2], (2, 4), strict=True):
            tx.execute(
                text("""
                DELETE FROM generation_queue WHERE request_id = :id"""),
                {"id": request_id},
            )
            tx.execute(
                text("""
                UPDATE generation_requests SET status = 'completed', started_at = clock_timestamp(),
                    completed_at = clock_timestamp() + make_interval(secs => :seconds) WHERE id = :id"""),
                {"id": request_id, "seconds": seconds},
            )
    rows = [line.split() for line in atelier("report").stdout.splitlines()]
    assert ["cover", "completed", "2", "3.00", "s"] in rows
    assert ["cover", "queued", "2", "-"] in rows


def test_what_waits_is_counted_by_priority_the_most_urgent_first(atelier, started, board, alice):
    board.put(alice, 2, priority=Priority.LOW)
    board.put(alice, 1, priority=Priority.URGENT)
    with board.db.once() as tx:
        tx.execute(text("UPDATE generation_queue SET queued_at = queued_at - interval '30 seconds'"))
    waiting = atelier("report").stdout.split("Waiting now")[1].splitlines()
    rows = [line.split() for line in waiting if "s" in line]
    assert [row[:2] for row in rows[-2:]] == [["urgent", "1"], ["low", "2"]]
    assert rows[-1][2].startswith("30.")


def test_what_is_older_than_a_day_is_left_out(atelier, started, board, alice):
    board.put(alice, 1, id="vga_1000_0000000000000000000000")
    assert "cover" not in atelier("report").stdout


def test_a_database_that_is_away_is_said(atelier, started, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://x:word@127.0.0.1:1/x")
    result = atelier("report")
    assert result.exit_code == 1
    assert "PostgreSQL can't be reached" in result.stderr
    assert "atelier up" in result.stderr
    assert "word" not in result.output


def test_a_database_without_tables_is_said(atelier, started, servers, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", servers.database_url.replace("/atelier?", "/postgres?"))
    result = atelier("report")
    assert result.exit_code == 1
    assert "atelier migrate" in result.stderr
