"""How a pipeline stands, as its document shows it [A41]: read from its requests, stored nowhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.clock import iso
from app.domain.errors import IllegalMove
from app.runtime import Runtime
from app.services import batch
from app.services.forge.plan import CONCEPT, ENHANCED, MODEL, RIGGED, SPRITES, TEXTURES
from app.services.identity import Who
from app.services.pipelines import status
from app.services.pipelines.status import Pipeline, Standing

_ALONE = (ENHANCED, CONCEPT, MODEL, RIGGED, SPRITES)
_ORDER = (ENHANCED.stage, CONCEPT.stage, MODEL.stage, TEXTURES, RIGGED.stage, SPRITES.stage)


def find(rt: Runtime, who: Who, pipeline_id: str) -> dict[str, Any]:
    """Return the contract's object. Raises NotFound, also where it is somebody else's."""
    pipeline = status.find(rt, who, pipeline_id)
    stages = _stages(rt, pipeline)
    ended = [one.record.completed_at for one in pipeline.stages if one.record and one.record.completed_at]
    answer = {
        "id": pipeline.id,
        "status": pipeline.status,
        "progress": pipeline.progress,
        "assetId": pipeline.asset_id,
        "stages": stages,
        "results": {name: one["result"] for name, one in stages.items() if one.get("result")},
        "error": pipeline.error,
        "cost": round(sum(one.cost for one in pipeline.stages), 6),
        "createdAt": iso(pipeline.created_at),
        "completedAt": iso(max(ended)) if pipeline.ended and ended else None,
    }
    if pipeline.status == "completed":
        answer["finalAsset"] = _final(pipeline, stages)
    return answer


def cancel(rt: Runtime, who: Who, pipeline_id: str) -> int:
    """Stop what hasn't ended; return how many stages that were. Raises NotFound, IllegalMove where all has ended."""
    status.find(rt, who, pipeline_id)
    stopped = batch.cancel(rt, who, pipeline_id)
    if not stopped:
        raise IllegalMove("The pipeline has ended and cannot be cancelled.")
    return stopped


def _stages(rt: Runtime, pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    alone = {one.name: one for one in pipeline.stages if one.name in _ALONE}
    shown = {name.stage: _shown(rt, one) for name, one in alone.items()}
    shown[TEXTURES] = _textures(rt, pipeline)
    if ENHANCED in alone:
        _tell_prompt(alone[ENHANCED], shown[ENHANCED.stage])
    began = iso(pipeline.created_at)
    said = {name: pipeline.input.get(name) for name in ("name", "type", "subtype", "description")}
    first = {"status": "completed", "progress": 100, "cost": 0.0, "startedAt": began, "completedAt": began}
    return {"textInput": {**first, "result": said}, **{name: shown[name] for name in _ORDER if name in shown}}


def _shown(rt: Runtime, one: Standing) -> dict[str, Any]:
    return {name: value for name, value in status.shown(rt, one).items() if value is not None}


def _tell_prompt(one: Standing, shown: dict[str, Any]) -> None:
    """Put the words in where the document's readers look for them."""
    if one.record and "result" in shown:
        better = shown["result"].get("data", {}).get("text")
        shown["result"] |= {"originalPrompt": one.record.prompt, "optimizedPrompt": better}


def _textures(rt: Runtime, pipeline: Pipeline) -> dict[str, Any]:
    """Return the variants as one stage: it has failed only where all of them have."""
    every = [one for one in pipeline.stages if one.name.stage == TEXTURES]
    made = [one for one in every if one.name.variant]
    if not made:
        return _shown(rt, every[0]) if every else {"status": "skipped", "progress": 100}
    shown = [_variant(rt, one, pipeline.input.get("variants", {})) for one in made]
    answer: dict[str, Any] = {
        "status": _together([one.status for one in made]),
        "progress": sum(one.progress for one in made) // len(made),
        "cost": round(sum(one.cost for one in made), 6),
        "result": {"variants": shown, "totalVariants": len(shown)},
    }
    error = next((one["error"] for one in shown if "error" in one), None)
    return answer | ({"error": error} if error and answer["status"] == "failed" else {})


def _variant(rt: Runtime, one: Standing, known: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    shown = _shown(rt, one)
    answer = {"preset": one.name.variant, "success": one.status == "completed", **shown}
    if one.record:
        answer |= known.get(one.name.variant, {})
    if url := (shown.get("result") or {}).get("modelUrl"):
        answer["modelUrl"] = url
    return answer


def _together(words: Sequence[str]) -> str:
    found = set(words)
    if found & {"pending", "processing"}:
        return "pending" if found == {"pending"} else "processing"
    return next(word for word in ("completed", "failed", "cancelled", "skipped") if word in found)


def _final(pipeline: Pipeline, stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    model, picture = (stages[name.stage].get("result") or {} for name in (MODEL, CONCEPT))
    textures = (stages[TEXTURES].get("result") or {}).get("variants", [])
    named = ("id", "name", "success")
    return {
        "id": pipeline.asset_id,
        "name": pipeline.input.get("name"),
        "modelUrl": model.get("modelUrl"),
        "conceptArtUrl": picture.get("imageUrl"),
        "variants": [{name: one[name] for name in named} for one in textures if "id" in one],
    }
