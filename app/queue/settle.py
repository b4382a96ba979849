"""in-progress -> what the verdict says. The one place that matches a verdict.

Every write is fenced: it names the claim's fence and owner, and looks at the row count. A worker that lost
its claim (rescued, cancelled) changes nothing but its own attempt's row, which keeps what the call cost; and
where another worker has resumed the same call meanwhile not even that, unless it was given up unpaid for.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, assert_never

from sqlalchemy import Connection, TextClause, text

from app.db import note
from app.domain.failure import Charged, Failure, FailureKind
from app.domain.lifecycle import Status
from app.domain.retry import RetryIn, next_step
from app.domain.verdict import Completed, Failed, Postponed, Released, Verdict, Waiting
from app.domain.vocabulary import Event
from app.queue import admit, flights
from app.queue.claim import Claim


def apply(
    tx: Connection,
    claim: Claim,
    attempt_id: int | None,
    verdict: Verdict,
    *,
    retry_base: float,
    rng: random.Random,
) -> bool:
    """Write down what came of the attempt; return False where the claim was no longer this worker's.

    `retry_base` is the longest wait in seconds before the first retry.
    """
    match verdict:
        case Completed():
            return complete(tx, claim, attempt_id, verdict)
        case Waiting():
            return snooze(tx, claim, attempt_id, verdict)
        case Postponed():
            return postpone(tx, claim, attempt_id, verdict)
        case Released():
            return release(tx, claim, attempt_id, verdict)
        case Failed(failure):
            step = next_step(failure, claim.attempts, claim.max_attempts, base=retry_base, rng=rng)
            if isinstance(step, RetryIn):
                return retry(tx, claim, attempt_id, failure, step)
            return fail(tx, claim, attempt_id, failure)
        case _:
            assert_never(verdict)


def complete(tx: Connection, claim: Claim, attempt_id: int | None, done: Completed) -> bool:
    """in-progress -> completed, with the files that it shows; the batch's next one is admitted."""
    result = {
        "provider": done.provider,
        "model": done.model,
        "seed": done.seed,
        "cost": float(done.cost),
        "files": {file.role: asdict(file) for file in done.files},
    }
    told = {"prompt": done.prompt, "sharedWith": done.shared, "data": dict(done.data)}
    result |= {name: value for name, value in told.items() if value}
    files = [{"role": file.role, "sha256": file.sha256} for file in done.files]
    moved = _move(
        tx,
        _COMPLETE,
        claim,
        attempt_id,
        cost=done.cost,
        charged=Charged.YES if done.cost else Charged.NO,
        provider_request=done.request_id,
        result=json.dumps(result),
        files=json.dumps(files),
    )
    if moved:
        admit.after(tx, claim.request_id, claim.batch_id)
    return moved


def snooze(tx: Connection, claim: Claim, attempt_id: int | None, waiting: Waiting) -> bool:
    """in-progress -> in-progress, asked again when due: no slot is held, no attempt is used."""
    return _move(
        tx,
        _SNOOZE,
        claim,
        attempt_id,
        handle=json.dumps(waiting.work.as_json()),
        seconds=max(0.0, waiting.poll_in),
        percent=waiting.progress,
        stage=waiting.stage,
    )


def postpone(tx: Connection, claim: Claim, attempt_id: int | None, later: Postponed) -> bool:
    """in-progress -> queued, not before the wait is over, the attempt given back; at once where nothing is to wait for."""
    landed = later.follows is not None and not flights.follow(tx, claim, later.follows)
    return _move(
        tx,
        _RETRY,
        claim,
        attempt_id,
        seconds=0.0 if landed else later.seconds,
        refund=1,
        follows=later.follows,
        **_why(later.failure),
    )


def release(tx: Connection, claim: Claim, attempt_id: int | None, given: Released) -> bool:
    """in-progress -> claimable at once, the attempt given back: the worker is leaving, nothing went wrong.

    Work that a provider does, or may do, stays in-progress, to be asked after by whoever claims it next.
    """
    work = json.dumps(given.work.as_json()) if given.work else None
    charged = Charged.UNKNOWN if given.work and given.work.lost else Charged.NO
    return _move(tx, _RELEASE, claim, attempt_id, handle=work, charged=charged)


def retry(tx: Connection, claim: Claim, attempt_id: int | None, failure: Failure, step: RetryIn) -> bool:
    """in-progress -> queued, not before the wait is over; priority and place in the fair order are kept."""
    return _move(tx, _RETRY, claim, attempt_id, seconds=step.seconds, refund=0, follows=None, **_why(failure))


def fail(tx: Connection, claim: Claim, attempt_id: int | None, failure: Failure) -> bool:
    """in-progress -> failed; the batch's next one is admitted."""
    why = _why(failure)
    error = failure.as_error(retryable=failure.kind.retryable)
    moved = _move(tx, _FAIL, claim, attempt_id, error=json.dumps(error), **why)
    if moved:
        admit.after(tx, claim.request_id, claim.batch_id)
    return moved


def _why(failure: Failure) -> dict[str, Any]:
    return {
        "kind": str(failure.kind),
        "message": failure.message,
        "charged": failure.charged,
        "provider_request": failure.request_id,
    }


def _move(tx: Connection, statement: TextClause, claim: Claim, attempt_id: int | None, **given: Any) -> bool:
    values: Mapping[str, Any] = {
        "kind": None,
        "message": None,
        "cost": Decimal(0),
        "charged": Charged.NO,
        "provider_request": None,
        **given,
        "id": claim.request_id,
        "fence": claim.fence,
        "worker": claim.worker_id,
        "attempt_id": attempt_id,
    }
    moved = tx.execute(statement, values).one_or_none()
    if moved and moved.noted:
        note(tx, [claim.request_id])
    if moved and moved.status != Status.IN_PROGRESS and claim.work_key is not None:
        flights.land(tx, claim.request_id)
    return moved is not None


def _statement(
    changes: str,
    event: Event,
    data: str,
    attempt: str,
    then: str = "",
    *,
    late: str = "fenced",
    told: str = "false",
) -> TextClause:
    """Build one fenced move: the record, its event and the attempt's row; `then` adds what hangs on it.

    `attempt` is what becomes of the attempt's row, `late` what does where the claim is lost. Where the last
    event is of the same kind and `told` is true of it, no other one is written.
    """
    return text(f"""
WITH moved AS (
    UPDATE generation_requests AS r SET {changes}, lease_owner = NULL,
        event_seq = event_seq + CASE WHEN EXISTS (
            SELECT FROM request_events AS e
            WHERE e.request_id = r.id AND e.seq = r.event_seq AND e.event = '{event}' AND {told}) THEN 0 ELSE 1 END
    WHERE id = :id AND fence = :fence AND lease_owner = :worker AND status = 'in-progress'
    RETURNING id, asset_id, status, event_seq, place, handle, due_at, progress, stage, attempts, priority_weight, fair_tag, result, error
), noted AS (
    INSERT INTO request_events (request_id, seq, event, data)
    SELECT id, event_seq, '{event}', {data} FROM moved
    WHERE NOT EXISTS (SELECT FROM request_events WHERE request_id = moved.id AND seq = moved.event_seq)
    RETURNING seq
), tried AS (
    UPDATE attempts SET
        state = became.state, error_kind = :kind, message = :message, charged = :charged,
        cost = CASE WHEN :charged = 'no' THEN 0 WHEN :cost > 0 THEN :cost ELSE estimate END,
        provider_request_id = COALESCE(:provider_request, provider_request_id),
        ended_at = CASE WHEN became.state <> 'running' THEN clock_timestamp() END
    FROM (SELECT COALESCE((SELECT {attempt} FROM moved), '{late}') AS state) AS became
    -- A call that was closed stays as it was: this may be the second run of a commit whose answer was lost.
    -- One that was given up may still turn out to have cost something, whoever gave it up.
    WHERE id = :attempt_id AND (
        fence = :fence AND attempts.state IN ('intent', 'running', 'unknown')
        OR attempts.ended_at IS NOT NULL AND attempts.charged <> 'yes' AND :charged = 'yes')
){then}
SELECT status, EXISTS (SELECT FROM noted) AS noted FROM moved
""")


_REQUEUE = """, queued AS (
    INSERT INTO generation_queue (request_id, priority_weight, fair_tag)
    SELECT id, priority_weight, fair_tag FROM moved WHERE due_at IS NULL
)"""
_KEEP_FILES = """, kept AS (
    INSERT INTO request_assets (request_id, role, sha256)
    SELECT moved.id, f.role, f.sha256
    FROM moved, jsonb_to_recordset(CAST(:files AS jsonb)) AS f(role text, sha256 text)
), shelved AS (
    UPDATE library_assets AS l SET updated_at = clock_timestamp(), version = version + 1,
        ready_at = CASE WHEN l.collection = 'image' OR l.request_id = moved.id
            OR CAST(:files AS jsonb) @> '[{"role": "model"}]'
            THEN clock_timestamp() ELSE l.ready_at END
    FROM moved WHERE l.id = moved.asset_id RETURNING l.id
), outdated AS (
    -- What was made of an older model, or was more than there is now.
    DELETE FROM library_files AS old USING shelved
    WHERE old.asset_id = shelved.id
        AND NOT CAST(:files AS jsonb) @> jsonb_build_array(jsonb_build_object('role', old.role))
        AND (old.role ~ '^(rig|animation|texture|sheet|sprite|config)' AND CAST(:files AS jsonb) @> '[{"role": "model"}]'
            OR old.role ~ '^(sprite|config)' AND CAST(:files AS jsonb) @> '[{"role": "sheet"}]')
), shelf AS (
    INSERT INTO library_files (asset_id, role, sha256)
    SELECT shelved.id, f.role, f.sha256
    FROM shelved, jsonb_to_recordset(CAST(:files AS jsonb)) AS f(role text, sha256 text)
    ON CONFLICT (asset_id, role) DO UPDATE SET sha256 = EXCLUDED.sha256
)"""
_DUE = "due_at = CASE WHEN :seconds > 0 THEN clock_timestamp() + make_interval(secs => :seconds) END"
_COMPLETE = _statement(
    "status = 'completed', progress = 100, stage = NULL, handle = NULL, error = NULL,"
    " result = CAST(:result AS jsonb), completed_at = clock_timestamp()",
    Event.COMPLETED,
    "result - 'files'",
    "'done'",
    _KEEP_FILES,
)
_FURTHER = "GREATEST(r.progress, LEAST(99, COALESCE(CAST(:percent AS smallint), 0)))"
_STAGE = "COALESCE(:stage, r.stage)"
_SNOOZE = _statement(
    f"handle = CAST(:handle AS jsonb), {_DUE}, progress = {_FURTHER}, stage = {_STAGE}",
    Event.PROGRESS,
    "jsonb_build_object('progress', progress, 'stage', stage)",
    "'running'",
    _REQUEUE,
    # The provider goes on with it all the same, and is to be told to stop.
    late="running",
    # Twice a second at most, and never the same again: watchers are told of progress, not of polls.
    told=f"""(e.created_at > clock_timestamp() - interval '0.5 seconds'
        OR e.data = jsonb_build_object('progress', {_FURTHER}, 'stage', {_STAGE}))""",
)
_WORK = "COALESCE(CAST(:handle AS jsonb), handle)"
_RELEASE = _statement(
    f"status = CASE WHEN {_WORK} IS NULL THEN 'queued' ELSE status END, handle = {_WORK},"
    f" attempts = attempts - CASE WHEN {_WORK} IS NULL THEN 1 ELSE 0 END",
    Event.RETRYING,
    "jsonb_build_object('reason', 'released', 'attempt', attempts)",
    "CASE WHEN handle IS NULL THEN 'released' WHEN handle ->> 'handle' IS NULL THEN 'unknown' ELSE 'running' END",
    _REQUEUE,
)
_RETRY = _statement(
    f"status = 'queued', handle = NULL, stage = NULL, attempts = attempts - :refund, follows = :follows, {_DUE}",
    Event.RETRYING,
    "jsonb_build_object('reason', CAST(:kind AS text), 'attempt', attempts, 'retryAt', due_at)",
    "'failed'",
    _REQUEUE,
)
_FAIL = _statement(
    "status = 'failed', handle = NULL, stage = NULL, error = CAST(:error AS jsonb),"
    " completed_at = clock_timestamp()",
    Event.FAILED,
    "error",
    "'failed'",
)
# An ending that is not an attempt's: app/queue/rescue.py and app/queue/expire.py use the same words.
LOST = Failure(FailureKind.WORKER_LOST, "The worker was lost too often while it worked on this request.")
EXPIRED = Failure(FailureKind.EXPIRED, "The request was still waiting when its time ran out.")
