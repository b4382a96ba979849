"""The OpenAPI document is complete, valid and true; the page that shows it needs nothing from elsewhere."""

import re

import pytest
import schemathesis

from tests.api.conftest import BASE

NOT_IN_IT = {"/", "/docs", "/docs/{name}", "/openapi.json"}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(call):
    answer = call(None, "GET", "/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    return answer.json


@pytest.fixture
def operations(document):
    return {
        (method.upper(), path): (operation, operations)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in METHODS
    }


class TestDocument:
    def test_it_is_valid_openapi_3_1(self, document):
        assert document["openapi"].startswith("3.1.")
        schemathesis.openapi.from_dict(document).validate()

    def test_every_route_is_in_it(self, client, operations):
        served = {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule)))
            for rule in client.application.url_map.iter_rules()
            for method in rule.methods - {"HEAD", "OPTIONS"}
        }
        assert {(method, path) for method, path in served if path not in NOT_IN_IT} == operations.keys()

    def test_every_route_says_how_to_show_who_one_is(self, client, document, operations):
        schemes = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                   "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}  # fmt: skip
        assert document["components"]["securitySchemes"] == schemes
        assert document["security"] == [{"bearer": []}, {"apiKey": []}]
        views = {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))): client.application.view_functions[
                rule.endpoint
            ]
            for rule in client.application.url_map.iter_rules()
            for method in rule.methods
        }
        for name, (operation, _) in operations.items():
            is_public = getattr(views[name], "is_public", False)
            assert ("security" in operation) == is_public, name

    def test_every_route_has_its_good_answer_and_its_errors(self, operations):
        for name, (operation, _) in operations.items():
            answers = operation["responses"]
            assert answers.keys() & {"101", "200", "201", "202", "204"}, name
            assert "default" in answers, name
            if operation.get("security") != []:
                assert {"401", "403", "429"} <= answers.keys(), name
            if "{" in name[1]:
                assert "404" in answers, name

    def test_every_error_is_the_contracts_object(self, document, operations):
        known = document["components"]["responses"]
        for name, (operation, _) in operations.items():
            for status, answer in operation["responses"].items():
                if status == "default" or (
                    status[0] in "45" and not (status == "503" and "health" in name[1])
                ):
                    found = known[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
                    [(kind, content)] = found["content"].items()
                    assert kind == "application/problem+json"
                    assert content["schema"]["$ref"].endswith("/ProblemAnswer")

    def test_every_route_that_spends_takes_an_idempotency_key(self, operations):
        takes = {
            name
            for name, (operation, path) in operations.items()
            for parameter in [*operation.get("parameters", []), *path.get("parameters", [])]
            if parameter.get("name") == "Idempotency-Key"
        }
        assert takes == {
            ("POST", f"{BASE}/submit"),
            ("POST", "/api/ai/assets"),
            ("POST", "/api/generate-video"),
            ("POST", f"{BASE}/batch"),
            ("POST", f"{BASE}/batch/{{batch_id}}/retry-failed"),
            ("POST", f"{BASE}/requests/{{request_id}}/retry"),
            ("POST", "/api/generation/pipeline"),
            ("POST", "/api/generation/pipeline/{pipeline_id}/retry"),
            ("POST", "/api/assets/{asset_id}/sprites"),
            ("POST", "/api/retexture"),
            ("POST", "/api/regenerate-base/{asset_id}"),
            ("POST", "/api/weapon-handle-detect"),
            ("POST", "/api/weapon-orientation-detect"),
            ("POST", "/api/v1/images/generate"),
            ("POST", "/api/v1/scenes/generate"),
        }

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            (("POST", f"{BASE}/submit"), {"dryRun"}),
            (("POST", f"{BASE}/batch"), {"dryRun", "priority", "maxConcurrent", "onDuplicate", "webhookUrl"}),
            (("GET", f"{BASE}/status/{{request_id}}"), {"wait", "imageData"}),
            (("GET", f"{BASE}/requests/{{request_id}}/events"), {"after"}),
            (("GET", "/api/webhooks/{endpoint_id}/deliveries"), {"status", "limit", "cursor"}),
            (("GET", "/api/test-backend-connection"), {"endpointId", "url"}),
        ],
    )
    def test_what_may_stand_in_the_query_is_told(self, operations, name, wanted):
        assert {one["name"] for one in operations[name][0]["parameters"] if one["in"] == "query"} == wanted

    def test_every_route_is_described_in_words(self, operations):
        assert [name for name, (operation, _) in operations.items() if not operation.get("summary")] == []

    def test_no_secret_of_the_settings_is_in_it(self, call, rt):
        text = call(None, "GET", "/openapi.json").text
        assert rt.settings.jwt_secret not in text
        assert rt.settings.database_url not in text


class TestPage:
    def test_it_is_shown_without_anything_from_elsewhere(self, call):
        page = call(None, "GET", "/docs")
        assert (page.status_code, page.mimetype) == (200, "text/html")
        assert re.findall(r"(?:https?:)?//[^\s\"']+", page.text) == []
        needed = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
        assert len(needed) == 3
        for path in needed:
            assert path.startswith("/docs/")
            assert call(None, "GET", path).status_code == 200

    def test_its_script_asks_for_our_document_only(self, call):
        script = call(None, "GET", "/docs/start.js").text
        assert '"/openapi.json"' in script
        assert "//" not in script

    def test_its_policy_lets_nothing_else_in(self, call):
        policy = dict(
            part.strip().split(" ", 1)
            for part in call(None, "GET", "/docs").headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"

    def test_the_style_asks_for_nothing_from_elsewhere(self, call):
        style = call(None, "GET", "/docs/swagger-ui.css").text
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", style) == []
        assert "@import" not in style

    @pytest.mark.parametrize(
        "name", ["index.html", "swagger-ui.js", "missing", "swagger-ui.css.map", "package.json"]
    )
    def test_nothing_else_is_served_beside_it(self, call, name):
        assert call(None, "GET", f"/docs/{name}").status_code == 404
