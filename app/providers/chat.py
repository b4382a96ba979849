"""Any chat server that speaks OpenAI's language and draws nothing: vLLM, Ollama, LocalAI, a router in front of many.

Settings: CHAT_BASE_URL (with the /v1 that most of them have), CHAT_MODEL, CHAT_API_KEY where it wants one, and
CHAT_KINDS, what of prompt, translation and vision the model is asked for: all of it where nothing is said.
"""

from app.domain.failure import FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.sender import Egress
from app.providers import openai_chat, openai_models
from app.providers.bad_option import BadOption
from app.providers.base import Context, Done, Health, HealthState, Plan, Provider, Task
from app.providers.wire import Wire
from app.providers.words import SECONDS, WORDS


class Chat(Provider):
    """Words only; it answers at once."""

    longest = SECONDS

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, model)
        # Which models a server has is known to the operator alone.
        self.kinds = _kinds(options) if options.model else frozenset()
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        self._wire = Wire(options, egress, base_url="http://127.0.0.1:8080/v1", headers=headers)
        self._chat = openai_chat.Chat(self._wire, self.name, model, plain=True)

    def plan(self, task: Task) -> Plan:
        """Return the body of a question. Raises ProviderError (unsupported)."""
        if task.kind not in self.kinds:
            raise self._wire.error(FailureKind.UNSUPPORTED)
        return self._chat.plan(task)

    def submit(self, plan: Plan, context: Context) -> Done:
        """Ask, and read the answer. Raises ProviderError."""
        return self._chat.submit(plan, context)

    def health(self) -> Health:
        """Look for the model in the list of models: a GET that costs nothing."""
        if not self.kinds:
            return Health(HealthState.DOWN, f"{self.name.upper()}_MODEL is not set.")
        return openai_models.health(self._wire, self.name, [self.model])


def _kinds(options: Options) -> frozenset[Kind]:
    named = {name.strip() for name in (options.more.get("kinds") or ",".join(WORDS)).split(",")} - {""}
    if unknown := named - WORDS:
        known = ", ".join(sorted(WORDS))
        raise BadOption(
            f"{options.name.upper()}_KINDS: {', '.join(sorted(unknown))} not known; there is {known}"
        )
    return frozenset(Kind(name) for name in named)
