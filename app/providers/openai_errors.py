"""What errors mean in OpenAI's language, as OpenAI and other makers' servers speak it."""

from dataclasses import replace

from app.domain.failure import Charged, FailureKind
from app.egress.reply import Reply
from app.providers.base import ProviderError
from app.providers.loosely import table, word
from app.providers.wire import Wire


def refused(wire: Wire, reply: Reply) -> ProviderError:
    """Return the error that an answer is: by its code, else its type, else its status."""
    body = table(reply.json_or_none())
    error = table(body.get("error"))
    code = error.get("code")
    if word(code) == "moderation_blocked":
        details = table(error.get("moderation_details")) or table(body.get("moderation_details"))
        return _blocked(wire, reply, late=details.get("moderation_stage") == "output")
    kind = _KINDS.get(word(code) or "") or _KINDS.get(word(error.get("type")) or "")
    if kind is None and reply.status in {400, 404} and error.get("param") == "model":
        kind = FailureKind.MODEL_RETIRED
    if kind is not None:
        return wire.error(kind, reply)
    if reply.ok and isinstance(code, int) and 400 <= code < 600:
        # Compatible servers put the status into the body, and send 200.
        reply = replace(reply, status=code)
    return wire.by_status(reply)


def _blocked(wire: Wire, reply: Reply, *, late: bool) -> ProviderError:
    if late:
        # What was drawn and withheld may have been billed.
        return wire.error(FailureKind.POLICY_OUTPUT, reply, charged=Charged.UNKNOWN)
    return wire.error(FailureKind.POLICY_INPUT, reply)


# The error's code, else its type: openai-openapi f85dbe2, and for the limits of money OpenAI as quoted by
# learn.microsoft.com's dev-proxy page.
_KINDS = {
    "content_policy_violation": FailureKind.POLICY_INPUT,
    "image_content_policy_violation": FailureKind.POLICY_INPUT,
    "invalid_prompt": FailureKind.BAD_REQUEST,
    "model_not_found": FailureKind.MODEL_RETIRED,
    "invalid_api_key": FailureKind.AUTH_FAILED,
    "insufficient_quota": FailureKind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FailureKind.QUOTA_EXHAUSTED,
    "credit_balance_exhausted": FailureKind.QUOTA_EXHAUSTED,
    "organization_spend_limit_exceeded": FailureKind.QUOTA_EXHAUSTED,
    "project_spend_limit_exceeded": FailureKind.QUOTA_EXHAUSTED,
    "organization_usage_limit_exceeded": FailureKind.QUOTA_EXHAUSTED,
    "rate_limit_exceeded": FailureKind.RATE_LIMITED,
    "slow_down": FailureKind.RATE_LIMITED,
    "server_error": FailureKind.UNAVAILABLE,
    "server_is_overloaded": FailureKind.UNAVAILABLE,
    "service_unavailable_error": FailureKind.UNAVAILABLE,
    # LocalAI, while it reads a model from the disk.
    "model_loading": FailureKind.UNAVAILABLE,
}
