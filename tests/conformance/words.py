"""Work that ends in words, for every provider that makes some."""

from app.domain.vocabulary import Kind
from tests.conformance.case import reference, task

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "score": {"type": "number"}},
    "required": ["label", "score"],
    "additionalProperties": False,
}
TRANSLATION = task(Kind.TRANSLATION, settings={"source": "en", "target": "hi"})
FACTS = task(
    Kind.VISION,
    references=(reference(),),
    settings={"instructions": "Name the animal, and say how sure you are.", "schema": SCHEMA},
)
TASKS = {
    "prompt": task(Kind.PROMPT, settings={"purpose": "video", "instructions": "Let it rain."}),
    "translation": TRANSLATION,
    "facts": FACTS,
    "loose facts": task(Kind.VISION, prompt="", references=(reference(mime="image/webp"),)),
}
