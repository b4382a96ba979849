"""Dhruva, the servers of Bhashini and AI4Bharat: translations between the languages of India, and English.

Settings: DHRUVA_BASE_URL (where it isn't Bhashini's own), DHRUVA_API_KEY, DHRUVA_DIALECT (pipeline, as Bhashini has
it; translation, as a Dhruva server of one's own has it) and DHRUVA_SERVICE_ID, the model's name there. Read from
bhashini_client 0.2.0 (PyPI) and AI4Bharat/Dhruva-Platform c5401b6.
"""

from collections.abc import Mapping
from typing import Any

from app.domain.failure import Charged, FailureKind
from app.domain.options import Options
from app.domain.vocabulary import Kind
from app.egress.reply import Reply
from app.egress.sender import Egress
from app.providers import dhruva_text, jobs
from app.providers.bad_option import BadOption
from app.providers.base import Context, Done, Health, HealthState, Plan, Provider, Task
from app.providers.loosely import table, tables, word
from app.providers.wire import Wire
from app.providers.words import MOST_TEXT, answer, question, unsupported

SECONDS = 120.0
_DIALECTS = {"pipeline", "translation"}


class Dhruva(Provider):
    """Translations only. A text goes as its paragraphs, since a server makes one line of what it is given."""

    kinds = frozenset({Kind.TRANSLATION})
    longest = SECONDS

    def __init__(self, options: Options, egress: Egress, model: str) -> None:
        super().__init__(options, options.more.get("service_id") or model)
        dialect = options.more.get("dialect") or "pipeline"
        if dialect not in _DIALECTS:
            raise BadOption(f"{options.name.upper()}_DIALECT: there is {', '.join(sorted(_DIALECTS))}")
        self._pipeline = dialect == "pipeline"
        self._path = f"/services/inference/{dialect}"
        self._wire = Wire(
            options, egress, base_url="https://dhruva-api.bhashini.gov.in", headers=_headers(options, dialect)
        )

    def plan(self, task: Task) -> Plan:
        """Return the body of a translation. Raises ProviderError (unsupported).

        `task.settings` holds target and may hold source, as language codes; a source that isn't said is told by the
        letters of the text.
        """
        if task.kind not in self.kinds:
            raise self._wire.error(FailureKind.UNSUPPORTED)
        if not task.prompt.strip() or len(task.prompt) > MOST_TEXT:
            raise unsupported(f"The text must have 1 to {MOST_TEXT} characters.")
        source, target, adapted = dhruva_text.languages(task)
        pieces = dhruva_text.split(task.prompt).pieces
        if len(pieces) > dhruva_text.MOST_PIECES:
            raise unsupported(f"The text may have at most {dhruva_text.MOST_PIECES} lines.")
        config = {
            "serviceId": self.model,
            "language": {"sourceLanguage": source, "targetLanguage": target},
        }
        given = [{"source": piece} for piece in pieces]
        return Plan(task, self.model, self._body(config, given), adapted)

    def submit(self, plan: Plan, context: Context) -> Done:
        """Translate. Raises ProviderError."""
        params = {} if self._pipeline else {"serviceId": plan.model}
        reply = self._wire.submit(
            self._path, context, seconds=SECONDS, params=params, json=dict(plan.payload)
        )
        if not reply.ok:
            raise self._wire.by_status(reply)
        found = self._wire.json(reply, charged=Charged.UNKNOWN)
        text = dhruva_text.split(plan.task.prompt)
        said = self._targets(found, reply, len(text.pieces))
        data = answer(question(plan.task), text.joined(said))
        if data is None:
            raise self._wire.error(FailureKind.BAD_RESULT, reply, charged=Charged.UNKNOWN)
        return Done((), plan.model, data=data)

    def health(self) -> Health:
        """Knock at the route itself, which answers a GET with 405: that costs nothing, and says nothing of the key."""
        reply = self._wire.knock("GET", self._path)
        if reply is not None and reply.status == 405:
            return Health(HealthState.UP)
        return jobs.trouble(self.name, reply) or Health(HealthState.DEGRADED, f"{self.name} is not as known.")

    def _body(self, config: Mapping[str, Any], given: list[dict[str, str]]) -> dict[str, Any]:
        if not self._pipeline:
            return {"config": config, "input": given}
        return {
            "pipelineTasks": [{"taskType": "translation", "config": config}],
            "inputData": {"input": given},
        }

    def _targets(self, found: Mapping[str, Any], reply: Reply, count: int) -> list[str]:
        """Return the translations of all pieces, in their order. Raises ProviderError (bad_result) where one is missing."""
        answers = tables(found.get("pipelineResponse")) if self._pipeline else [table(found)]
        outputs = [one.get("output") for one in answers[:1]]
        said = [target for output in outputs for one in tables(output) if (target := word(one.get("target")))]
        if len(said) != count:
            raise self._wire.error(FailureKind.BAD_RESULT, reply, charged=Charged.UNKNOWN)
        return said


def _headers(options: Options, dialect: str) -> dict[str, str]:
    if not options.api_key:
        return {}
    kind = {"x-auth-source": "API_KEY"} if dialect == "translation" else {}
    return {"Authorization": options.api_key, **kind}
