"""What words go through before they are drawn: OpenAI's moderation, and a rewriting by a chat model.

Both are extras. Whatever goes wrong with them, the picture is drawn from the words as they are.
"""

from typing import Any

from app.domain.failure import FailureKind
from app.domain.vocabulary import Kind
from app.providers.base import Context, ProviderError
from app.providers.loosely import table, tables
from app.providers.openai_chat import Chat
from app.providers.wire import Wire
from app.providers.words import Question, rewriting

_MODERATION_SECONDS = 10.0
_REWRITING_SECONDS = 30.0
# The drawing itself gets at least so much of the attempt's time.
_SHARE = 0.25
_MOST_CHARACTERS = 4_000
_MOST_TOKENS = 1_000


def flagged(wire: Wire, model: str, prompt: str, context: Context) -> bool:
    """Whether a moderation model finds that a prompt breaks the policy; False where it can't be asked."""
    body = _asked(wire, "/moderations", context, _MODERATION_SECONDS, {"model": model, "input": prompt})
    return any(one.get("flagged") is True for one in tables(body.get("results")))


def rewritten(wire: Wire, model: str, prompt: str, context: Context, *, plain: bool = False) -> str | None:
    """Return a prompt as a chat model would have it; None where it refuses or can't be asked.

    `plain` asks by the older chat completions, which other makers' servers know.
    """
    chat = Chat(wire, "", model, plain=plain)
    body = chat.body(Question(Kind.PROMPT, rewriting(), prompt, _MOST_TOKENS))
    said = chat.read(_asked(wire, chat.path, context, _REWRITING_SECONDS, body))
    return None if isinstance(said, FailureKind) else " ".join(said.split())[:_MOST_CHARACTERS] or None


def _asked(wire: Wire, path: str, context: Context, seconds: float, body: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one where there is none, whyever."""
    seconds = min(seconds, _SHARE * context.remaining())
    try:
        reply = wire.ask("POST", path, context, seconds=seconds, json=body)
    except ProviderError:
        return {}
    return table(reply.json_or_none()) if reply.ok else {}
