"""Dhruva: translations by a pipeline of tasks, or by the route of one; a line break in a text is a fault of the caller.

state: `lose` leaves the last translation out; `says` are the translations, in place of its own.
"""

from typing import Any

from flask import Blueprint, jsonify, request

from tests.fakes.house import KEY, House

SERVICE = "ai4bharat/indictrans-v2-all-gpu--t4"
_LANGUAGES = {"en", "hi", "te", "ta", "ml", "bn", "gu", "mr", "pa", "kn", "or", "as"}


def blueprint(house: House) -> Blueprint:
    routes = Blueprint("dhruva", __name__)

    @routes.before_request
    def known() -> Any:
        if request.method != "POST":
            return None
        if request.headers.get("Authorization") != KEY:
            return _error(401, "Not authenticated")
        return None

    @routes.post("/services/inference/pipeline")
    def pipeline() -> Any:
        body = request.get_json(silent=True) or {}
        tasks, data = body.get("pipelineTasks"), body.get("inputData")
        if set(body) != {"pipelineTasks", "inputData"} or len(tasks) != 1 or set(data) != {"input"}:
            return _malformed("pipelineTasks")
        if set(tasks[0]) != {"taskType", "config"} or tasks[0]["taskType"] != "translation":
            return _malformed("taskType")
        if wrong := _wrong(tasks[0]["config"], data["input"]):
            return wrong
        house.charge("dhruva")
        output = _translated(house, tasks[0]["config"], data["input"])
        return jsonify(pipelineResponse=[{"taskType": "translation", "config": None, "output": output}])

    @routes.post("/services/inference/translation")
    def translation() -> Any:
        body = request.get_json(silent=True) or {}
        if request.headers.get("x-auth-source") != "API_KEY":
            return _error(403, "Not authenticated")
        if set(body) != {"config", "input"} or request.args.get("serviceId") != body["config"]["serviceId"]:
            return _malformed("serviceId")
        if wrong := _wrong(body["config"], body["input"]):
            return wrong
        house.charge("dhruva")
        output = _translated(house, body["config"], body["input"])
        return jsonify(taskType="translation", output=output, config=None)

    return routes


def _wrong(config: dict[str, Any], given: list[dict[str, Any]]) -> Any:
    language = config.get("language", {})
    if set(config) != {"serviceId", "language"} or set(language) != {"sourceLanguage", "targetLanguage"}:
        return _malformed("config")
    if not set(language.values()) <= _LANGUAGES:
        return _malformed("language")
    if config["serviceId"] != SERVICE:
        return _error(500, "Invalid serviceId")
    for one in given:
        if set(one) != {"source"} or not one["source"].strip() or "\n" in one["source"]:
            return _malformed("source")
    return None if given else _malformed("input")


def _translated(house: House, config: dict[str, Any], given: list[dict[str, Any]]) -> list[dict[str, str]]:
    state, target = house.state("dhruva"), config["language"]["targetLanguage"]
    said = state.get("says") or [f"{target}<{one['source']}>" for one in given]
    output = [{"source": one["source"], "target": text} for one, text in zip(given, said, strict=False)]
    return output[:-1] if state.get("lose") else output


def _malformed(field: str) -> Any:
    return jsonify(detail=[{"loc": ["body", field], "msg": "field required", "type": "value_error"}]), 422


def _error(status: int, words: str) -> Any:
    return jsonify(detail={"kind": "Error", "message": f"dhruva says {words}"}), status
