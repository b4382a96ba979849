"""`atelier submit`, against a service that answers as the test says."""

import hashlib
import json

import pytest

from app.cli import watch
from tests.cli.conftest import problem, snapshot, state, stream

SUBMIT = "/api/visual-generation/submit"
UPLOADS = "/api/visual-generation/uploads"
STATUS = "/api/visual-generation/status/vga_1"
FILE = "/api/visual-generation/requests/vga_1/files/image"
PICTURE = b"a picture of a lighthouse"
PROMPT = "A lighthouse in a storm"


@pytest.fixture(autouse=True)
def accepted(key, httpserver):
    httpserver.expect_request(SUBMIT, method="POST").respond_with_json({"requestId": "vga_1"})


@pytest.fixture
def ends(httpserver):
    def end(status: str, **more: object) -> None:
        httpserver.expect_request(watch.EVENTS).respond_with_response(stream(snapshot(status=status)))
        httpserver.expect_request(STATUS).respond_with_json(state(status=status, **more))

    return end


def completed() -> dict[str, object]:
    digest = hashlib.sha256(PICTURE).hexdigest()
    return {"result": {"imageUrl": "http://x/files/1", "bytes": len(PICTURE), "sha256": digest}}


def sent(httpserver) -> dict[str, object]:
    return json.loads(httpserver.log[0][0].data)


def test_the_id_alone_is_printed(atelier, httpserver):
    result = atelier("submit", PROMPT)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "vga_1\n", "")
    assert sent(httpserver) == {
        "type": "coloring-page",
        "prompt": PROMPT,
        "priority": "normal",
        "metadata": {},
    }


def test_the_key_is_sent(atelier, httpserver, key):
    atelier("submit", PROMPT)
    assert httpserver.log[0][0].headers["X-API-Key"] == key


def test_wishes_are_sent_under_the_contracts_names(atelier, httpserver):
    words = "--type cover --priority urgent --aspect wide --style gouache --seed 7 --format png"
    atelier("submit", PROMPT, *words.split())
    assert sent(httpserver) == {
        "type": "cover",
        "prompt": PROMPT,
        "priority": "urgent",
        "metadata": {"aspectRatio": "wide", "imageStyle": "gouache", "seed": 7, "format": "png"},
    }


def test_watching_tells_the_address_of_the_picture(atelier, ends):
    ends("completed", **completed())
    result = atelier("submit", PROMPT, "--watch")
    assert (result.exit_code, result.stdout) == (0, "http://x/files/1\n")
    assert result.stderr == "completed\n"


def test_out_waits_and_saves_the_picture(atelier, ends, httpserver, tmp_path):
    ends("completed", **completed())
    httpserver.expect_request(FILE).respond_with_data(PICTURE)
    result = atelier("submit", PROMPT, "--out", tmp_path / "x.webp")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'x.webp'}\n")
    assert (tmp_path / "x.webp").read_bytes() == PICTURE


@pytest.mark.parametrize("case", [("x.png", "png"), ("x.JPG", "jpeg"), ("x.avif", "avif")])
def test_the_files_name_asks_for_its_format(atelier, ends, httpserver, tmp_path, case):
    ends("failed")
    atelier("submit", PROMPT, "--out", tmp_path / case[0])
    assert sent(httpserver)["metadata"] == {"format": case[1]}


def test_a_format_that_was_asked_for_wins_over_the_name(atelier, ends, httpserver, tmp_path):
    ends("failed")
    atelier("submit", PROMPT, "--out", tmp_path / "x.png", "--format", "webp")
    assert sent(httpserver)["metadata"] == {"format": "webp"}


class TestReferences:
    @pytest.fixture
    def uploads(self, httpserver):
        httpserver.expect_request(UPLOADS, method="POST").respond_with_json({"uploadId": "vgu_1"}, status=201)

    def test_a_file_is_uploaded_and_named(self, atelier, httpserver, uploads, key, tmp_path):
        (tmp_path / "cat.png").write_bytes(PICTURE)
        result = atelier("submit", PROMPT, "--reference", tmp_path / "cat.png")
        assert (result.exit_code, result.stdout) == (0, "vga_1\n")
        [upload, submit] = [request for request, _ in httpserver.log]
        assert (upload.path, upload.data, upload.headers["X-API-Key"]) == (UPLOADS, PICTURE, key)
        assert upload.content_type == "application/octet-stream"
        assert json.loads(submit.data)["referenceImages"] == [{"upload": "vgu_1"}]

    def test_an_address_is_passed_on_and_the_order_is_kept(self, atelier, httpserver, uploads, tmp_path):
        (tmp_path / "cat.png").write_bytes(PICTURE)
        words = ["https://example.com/a.png", tmp_path / "cat.png", "http://example.com/b.png"]
        atelier("submit", PROMPT, *[word for one in words for word in ("--reference", one)])
        assert json.loads(httpserver.log[-1][0].data)["referenceImages"] == [
            {"url": "https://example.com/a.png"},
            {"upload": "vgu_1"},
            {"url": "http://example.com/b.png"},
        ]

    def test_what_cannot_be_read_is_said_before_anything_is_sent(self, atelier, httpserver, tmp_path):
        (tmp_path / "cat.png").write_bytes(PICTURE)
        result = atelier("submit", PROMPT, "--reference", tmp_path / "cat.png", "--reference", "nowhere.png")
        assert result.exit_code == 2
        assert "nowhere.png: No such file" in result.stderr
        assert httpserver.log == []

    def test_a_file_that_no_service_takes_is_not_sent(self, atelier, httpserver, tmp_path):
        (tmp_path / "huge.png").write_bytes(bytes((10 << 20) + 1))
        result = atelier("submit", PROMPT, "--reference", tmp_path / "huge.png")
        assert result.exit_code == 2
        assert "over 10 MB" in result.stderr
        assert httpserver.log == []

    def test_what_the_service_says_of_a_file_is_shown(self, atelier, httpserver, tmp_path):
        faults = [{"field": "body", "message": "This is not a PNG, JPEG, WebP, GIF or AVIF picture."}]
        httpserver.expect_request(UPLOADS).respond_with_response(problem(400, "Not valid.", errors=faults))
        (tmp_path / "cat.txt").write_bytes(b"a cat")
        result = atelier("submit", PROMPT, "--reference", tmp_path / "cat.txt")
        assert result.exit_code == 1
        assert "not a PNG" in result.stderr
        assert [request.path for request, _ in httpserver.log] == [UPLOADS]


def test_a_failed_request_is_exit_code_1_with_its_error(atelier, ends, tmp_path):
    ends("failed", error={"message": "The prompt was refused.", "code": "content", "retryable": False})
    result = atelier("submit", PROMPT, "--out", tmp_path / "x.webp")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "vga_1 failed: The prompt was refused." in result.stderr
    assert not (tmp_path / "x.webp").exists()


def test_a_cancelled_request_is_exit_code_1(atelier, ends):
    ends("cancelled")
    result = atelier("submit", PROMPT, "--watch")
    assert result.exit_code == 1
    assert "vga_1 was cancelled." in result.stderr


def test_ctrl_c_leaves_the_request_running_and_says_so(atelier, httpserver, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "request", interrupt)
    result = atelier("submit", PROMPT, "--watch")
    assert result.exit_code == 130
    assert "vga_1 goes on" in result.stderr
    assert "status vga_1" in result.stderr
    assert [request.method for request, _ in httpserver.log] == ["POST"]


def test_a_folder_that_is_not_there_is_said_before_anything_is_asked_for(atelier, httpserver, tmp_path):
    result = atelier("submit", PROMPT, "--out", tmp_path / "nowhere" / "x.webp")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert httpserver.log == []


def test_a_bad_prompt_is_said_with_the_fields_name(atelier, httpserver):
    httpserver.clear()
    faults = [{"field": "prompt", "message": "Length must be between 10 and 1000."}]
    httpserver.expect_request(SUBMIT).respond_with_response(problem(400, "Not valid.", errors=faults))
    result = atelier("submit", "short")
    assert result.exit_code == 1
    assert "prompt: Length must be" in result.stderr


def test_what_a_service_says_cannot_command_the_terminal(atelier, httpserver):
    bad = snapshot(status="in-progress", stage="\x1b[2J\x1b]0;owned\x07")
    httpserver.expect_request(watch.EVENTS).respond_with_response(stream(bad))
    httpserver.expect_request(STATUS).respond_with_json(state(status="completed", **completed()))
    result = atelier("submit", PROMPT, "--watch")
    assert "owned" in result.stderr
    assert not {"\x1b", "\x07"} & set(result.output)


def test_another_service_needs_a_key(atelier, monkeypatch):
    monkeypatch.delenv("ATELIER_API_KEY")
    result = atelier("submit", PROMPT)
    assert result.exit_code == 2
    assert "ATELIER_API_KEY" in result.stderr


def test_a_token_of_the_environment_is_sent(atelier, httpserver, monkeypatch):
    monkeypatch.delenv("ATELIER_API_KEY")
    monkeypatch.setenv("ATELIER_TOKEN", "shown")
    atelier("submit", PROMPT)
    assert httpserver.log[0][0].headers["Authorization"] == "Bearer shown"
