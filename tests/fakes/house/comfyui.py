"""ComfyUI's server: a graph is checked against a toy catalogue of nodes, queued under the caller's name, and drawn by being looked at.

Each GET /queue moves the work on: it waits for one look, runs for the next, and is in the history at the third
(`state["looks"]`). `state["outcome"]` says how it ends: success, error, memory, interrupted, nothing. As in the
real one, the same name twice is queued twice, queue and history are memory, and an interrupt without a name
stops whatever runs. `state["told"]` is what /ws says before it closes, after `state["noise"]`,
which are bytes that are no messages.
"""

import json
import time
import uuid
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, jsonify, request
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage

from tests.fakes.house import KEY, files

CHECKPOINTS = ["a-model", "another.safetensors"]
# Of each node: what its inputs are (a list is a choice, "INT" has bounds), and what comes out.
NODES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "CheckpointLoaderSimple": ({"ckpt_name": CHECKPOINTS}, ["MODEL", "CLIP", "VAE"]),
    "CLIPTextEncode": ({"text": "STRING", "clip": "CLIP"}, ["CONDITIONING"]),
    "EmptyLatentImage": ({"width": (16, 16384), "height": (16, 16384), "batch_size": (1, 4096)}, ["LATENT"]),
    "LoadImage": ({"image": "UPLOAD"}, ["IMAGE", "MASK"]),
    "ImageScale": (
        {
            "image": "IMAGE",
            "upscale_method": ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"],
            "width": (0, 16384),
            "height": (0, 16384),
            "crop": ["disabled", "center"],
        },
        ["IMAGE"],
    ),
    "VAEEncode": ({"pixels": "IMAGE", "vae": "VAE"}, ["LATENT"]),
    "KSampler": (
        {
            "model": "MODEL",
            "seed": (0, 2**64 - 1),
            "steps": (1, 10000),
            "cfg": (0.0, 100.0),
            "sampler_name": ["euler", "euler_ancestral", "dpmpp_2m"],
            "scheduler": ["normal", "karras"],
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
            "denoise": (0.0, 1.0),
        },
        ["LATENT"],
    ),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"]),
    "PreviewImage": ({"images": "IMAGE"}, []),
    "SaveImage": ({"images": "IMAGE", "filename_prefix": "STRING"}, []),
}
OUTPUTS = {"PreviewImage": "temp", "SaveImage": "output"}


def blueprint(house: Any) -> Blueprint:
    routes = Blueprint("comfyui", __name__)

    def state() -> dict[str, Any]:
        found = house.state("comfyui")
        found.setdefault("jobs", [])
        found.setdefault("history", {})
        found.setdefault("uploads", {})
        return found

    @routes.before_request
    def guard() -> Any:
        # ComfyUI itself asks for nothing; this is the proxy that an operator puts before it.
        if request.headers.get("Authorization") not in {None, f"Bearer {KEY}"}:
            return jsonify(error="unauthorized"), 401
        return None

    @routes.post("/prompt")
    def prompt() -> Any:
        body = request.get_json(force=True)
        job = body.get("prompt_id") or str(uuid.uuid4())
        if not _is_canonical(job):
            return _refused("invalid_prompt_id")
        if "prompt" not in body:
            return _refused("no_prompt")
        graph = body["prompt"]
        whole, nodes = _faults(graph, state()["uploads"])
        if whole:
            return _refused(whole, nodes)
        number = len(state()["jobs"]) + len(state()["history"])
        extra = {"client_id": body["client_id"]} if "client_id" in body else {}
        item = [number, job, graph, {**extra, "create_time": int(time.time() * 1000)}, _outputs(graph)]
        state()["jobs"].append({"item": item, "looked": 0})
        house.charge("comfyui")
        return jsonify(prompt_id=job, number=number, node_errors={})

    @routes.get("/queue")
    def queue() -> Any:
        now = state()
        running, pending = [], []
        for job in list(now["jobs"]):
            if not now.get("held"):
                job["looked"] += 1
            if job["looked"] > now.get("looks", 2):
                now["jobs"].remove(job)
                now["history"][job["item"][1]] = _entry(job["item"], now.get("outcome", "success"), now)
            elif job["looked"] > 1:
                running.append(job["item"])
            else:
                pending.insert(0, job["item"])
        return jsonify(queue_running=running, queue_pending=pending)

    @routes.post("/queue")
    def change_queue() -> Any:
        body = request.get_json(force=True)
        gone = set(body.get("delete", []))
        state()["jobs"] = [job for job in state()["jobs"] if job["looked"] > 1 or job["item"][1] not in gone]
        return Response(status=200)

    @routes.post("/interrupt")
    def interrupt() -> Any:
        name = (request.get_json(silent=True, force=True) or {}).get("prompt_id")
        for job in list(state()["jobs"]):
            if job["looked"] > 1 and name in {None, job["item"][1]}:
                state()["jobs"].remove(job)
                state()["history"][job["item"][1]] = _entry(job["item"], "interrupted", state())
        return Response(status=200)

    @routes.get("/history/<job>")
    def history(job: str) -> Any:
        found = state()["history"]
        return jsonify({job: found[job]} if job in found else {})

    @routes.get("/view")
    def view() -> Any:
        name = request.args.get("filename", "")
        if not name:
            return Response(status=404)
        if name.startswith("/") or ".." in name:
            return Response(status=400)
        if request.args.get("type", "output") not in {"output", "temp"} or "drawn" not in name:
            return Response(status=404)
        return Response(house.art(files.png()), mimetype="application/octet-stream")

    @routes.post("/upload/image")
    def upload() -> Any:
        image = request.files.get("image")
        folder = request.form.get("subfolder", "")
        if image is None or not image.filename or ".." in folder or folder.startswith("/"):
            return Response(status=400)
        name = f"{folder}/{image.filename}" if folder else image.filename
        if name in state()["uploads"] and request.form.get("overwrite") not in {"1", "true"}:
            return jsonify(name=f"{image.filename} (1)", subfolder=folder, type="input")
        state()["uploads"][name] = image.read()
        return jsonify(name=image.filename, subfolder=folder, type=request.form.get("type", "input"))

    @routes.get("/system_stats")
    def system_stats() -> Any:
        return jsonify(system={"os": "posix", "comfyui_version": "0.3.64"}, devices=[{"name": "cpu"}])

    @routes.get("/models/<folder>")
    def models(folder: str) -> Any:
        return jsonify(CHECKPOINTS) if folder == "checkpoints" else Response(status=404)

    @routes.get("/ws", websocket=True)
    def ws() -> Any:
        line = request.environ["werkzeug.socket"]
        # Who has heard enough hangs up.
        with suppress(OSError):
            socket = _accepted(line)
            line.sendall(state().get("noise", b""))
            for message in state().get("told", []):
                said = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
                line.sendall(socket.send(said))
            line.sendall(socket.send(CloseConnection(1000)))
        return Response(_nothing())

    return routes


def event(kind: str, **data: Any) -> str:
    """A message as /ws sends it."""
    return json.dumps({"type": kind, "data": data})


def _accepted(line: Any) -> WSConnection:
    """Answer the request that Flask has read already with the other protocol's greeting."""
    socket = WSConnection(ConnectionType.SERVER)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    socket.receive_data(f"GET / HTTP/1.1\r\n{head}\r\n".encode())
    assert isinstance(next(socket.events()), Request)
    line.sendall(socket.send(AcceptConnection()))
    return socket


def _nothing() -> Any:
    # The line is no longer HTTP; the server takes this for a caller that went away.
    raise ConnectionAbortedError
    yield b""


def _is_canonical(name: Any) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except (ValueError, AttributeError, TypeError):
        return False


def _refused(kind: str, nodes: dict[str, Any] | None = None) -> Any:
    words = {"type": kind, "message": kind.replace("_", " "), "details": "", "extra_info": {}}
    return jsonify(error=words, node_errors=nodes or {}), 400


def _outputs(graph: dict[str, Any]) -> list[str]:
    return [name for name, node in graph.items() if node["class_type"] in OUTPUTS]


def _faults(graph: dict[str, Any], uploads: dict[str, bytes]) -> tuple[str | None, dict[str, Any]]:
    """Return what is wrong with a graph as a whole, and with its nodes, as execution.py says it."""
    if any(node.get("class_type") not in NODES for node in graph.values()):
        return "missing_node_type", {}
    if not _outputs(graph):
        return "prompt_no_outputs", {}
    found = {
        name: {"errors": errors, "dependent_outputs": _outputs(graph), "class_type": node["class_type"]}
        for name, node in graph.items()
        if (errors := _of_node(node, graph, uploads))
    }
    return ("prompt_outputs_failed_validation" if found else None), found


def _of_node(node: dict[str, Any], graph: dict[str, Any], uploads: dict[str, bytes]) -> list[dict[str, Any]]:
    known, given = NODES[node["class_type"]][0], node["inputs"]
    errors = [
        _error(kind, name, given.get(name))
        for name, wanted in known.items()
        if (kind := _of_input(wanted, name, given, graph, uploads))
    ]
    # The real one takes inputs that it doesn't know without a word; here that would be a slip of the workflow's.
    return errors + [_error("unknown_input_of_the_tests", name, None) for name in set(given) - set(known)]


def _of_input(
    wanted: Any, name: str, given: dict[str, Any], graph: dict[str, Any], uploads: dict[str, bytes]
) -> str | None:
    if name not in given:
        return "required_input_missing"
    value = given[name]
    match wanted:
        case list():
            return None if value in wanted else "value_not_in_list"
        case tuple():
            if not isinstance(value, int | float) or isinstance(value, bool):
                return "invalid_input_type"
            return None if wanted[0] <= value <= wanted[1] else "value_bigger_than_max"
        case "STRING":
            return None if isinstance(value, str) else "invalid_input_type"
        case "UPLOAD":
            return None if value in uploads else "custom_validation_failed"
    if not isinstance(value, list) or len(value) != 2 or value[0] not in graph:
        return "bad_linked_input"
    out = NODES[graph[value[0]]["class_type"]][1]
    return None if value[1] < len(out) and out[value[1]] == wanted else "return_type_mismatch"


def _error(kind: str, name: str, value: Any) -> dict[str, Any]:
    about = {"input_name": name, "input_config": None, "received_value": value}
    return {"type": kind, "message": kind.replace("_", " "), "details": name, "extra_info": about}


def _entry(item: list[Any], outcome: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return what the history keeps of a prompt that ended."""
    job = item[1]
    messages: list[Any] = [["execution_start", {"prompt_id": job}], ["execution_cached", {"nodes": []}]]
    about = {"prompt_id": job, "node_id": "5", "node_type": "KSampler", "executed": []}
    match outcome:
        case "interrupted":
            messages.append(["execution_interrupted", about])
        case "memory":
            messages.append(["execution_error", {**about, "exception_type": "torch.OutOfMemoryError"}])
        case "error":
            messages.append(["execution_error", {**about, "exception_type": "RuntimeError"}])
        case _:
            messages.append(["execution_success", {"prompt_id": job}])
    well = messages[-1][0] == "execution_success"
    drawn = state.get("names") or [{"filename": "drawn_00001_.png", "subfolder": ""}]
    outputs = {
        name: {"images": [{"type": OUTPUTS[item[2][name]["class_type"]], **one} for one in drawn]}
        for name in item[4]
    }
    return {
        "prompt": item,
        "outputs": outputs if well and outcome != "nothing" else {},
        "status": {"status_str": "success" if well else "error", "completed": well, "messages": messages},
        "meta": {},
    }
