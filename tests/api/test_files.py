"""Finished files: who may have them, how they are sent, and that nothing else on the disk is ever reached."""

from itertools import product
from urllib.parse import quote, urlsplit

import pytest
from itsdangerous import URLSafeSerializer

from app.services import access, links
from tests.api.conftest import BASE
from tests.conftest import SECRET


@pytest.fixture
def done(submit, studio, alice):
    """A completed request of alice's, and the bytes of its picture."""
    request = submit(alice)
    return request, studio.complete(request)


@pytest.fixture
def signed(call, alice, done):
    """The path of the signed address of the picture."""
    shown = call(alice, "GET", f"status/{done[0]}?imageData=false").json
    return urlsplit(shown["result"]["imageUrl"]).path


def path_of(request, role="image"):
    return f"requests/{request}/files/{role}"


class TestByRequest:
    @pytest.mark.parametrize("role", ["image", "thumbnail"])
    def test_its_owner_gets_it(self, call, done, board, alice, role):
        request, content = done
        answer = call(alice, "GET", path_of(request, role))
        assert answer.status_code == 200
        assert answer.data == (content if role == "image" else content[:-1] + b"T")
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["ETag"].strip('"') == board.row(request).result["files"][role]["sha256"]

    def test_a_foreign_one_is_404(self, call, done, bob):
        answer = call(bob, "GET", path_of(done[0]))
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")

    def test_nobody_is_401(self, call, done):
        assert call(None, "GET", path_of(done[0])).status_code == 401

    def test_one_that_is_not_finished_is_404(self, call, submit, alice):
        assert call(alice, "GET", path_of(submit(alice))).status_code == 404

    def test_one_whose_file_is_gone_is_404(self, call, done, board, rt, alice):
        rt.store.remove(board.row(done[0]).result["files"]["image"]["sha256"])
        answer = call(alice, "GET", path_of(done[0]))
        assert (answer.status_code, answer.json["error"]) == (404, "File not found")

    def test_it_is_not_for_pages_of_other_sites(self, call, done, alice):
        answer = call(alice, "GET", path_of(done[0]))
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-site"


class TestSent:
    @pytest.fixture
    def get(self, call, done, alice):
        return lambda **headers: call(alice, "GET", path_of(done[0]), headers=headers)

    def test_it_may_be_kept_for_ever_by_the_one_who_asked(self, get):
        kept = get().headers["Cache-Control"]
        assert set(kept.split(", ")) == {"private", "max-age=31536000", "immutable"}

    def test_it_is_never_taken_for_a_page(self, get):
        answer = get()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["Content-Disposition"].startswith("inline; filename=vga_")

    def test_a_part_of_it_is_206(self, get, done):
        answer = get(Range="bytes=5-9")
        assert (answer.status_code, answer.data) == (206, done[1][5:10])
        assert answer.headers["Content-Range"] == f"bytes 5-9/{len(done[1])}"

    def test_its_end_is_206(self, get, done):
        assert get(Range="bytes=-4").data == done[1][-4:]

    def test_a_part_beyond_its_end_is_416(self, get, done):
        answer = get(Range=f"bytes={len(done[1])}-")
        assert (answer.status_code, answer.json["code"]) == (416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == f"bytes */{len(done[1])}"
        assert answer.content_type == "application/problem+json"

    def test_one_that_is_known_is_304(self, get):
        answer = get(**{"If-None-Match": get().headers["ETag"]})
        assert (answer.status_code, answer.data) == (304, b"")

    def test_a_part_of_another_version_is_the_whole(self, get, done):
        answer = get(Range="bytes=0-1", **{"If-Range": '"of another"'})
        assert (answer.status_code, answer.data) == (200, done[1])

    def test_its_head_has_no_body(self, call, done, alice):
        answer = call(alice, "HEAD", path_of(done[0]))
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(done[1]))


class TestSigned:
    def test_it_opens_without_a_token(self, call, signed, done):
        answer = call(None, "GET", signed)
        assert (answer.status_code, answer.data) == (200, done[1])
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "private" in answer.headers["Cache-Control"]

    def test_the_address_begins_with_the_public_url(self, build, as_, done, alice):
        client = build(public_url="https://pictures.example/")
        shown = client.get(f"{BASE}/status/{done[0]}", headers=as_(alice)).json["result"]
        assert shown["imageUrl"].startswith("https://pictures.example/files/")
        assert shown["thumbnailUrl"].startswith("https://pictures.example/files/")

    def test_the_address_stays_the_same_for_a_while(self, call, done, alice):
        first, again = (call(alice, "GET", f"status/{done[0]}").json["result"]["imageUrl"] for _ in range(2))
        assert first == again

    @pytest.mark.parametrize("where", [0, 10, -2, -12])
    def test_a_changed_one_is_401(self, call, signed, where):
        token = [*signed.removeprefix("/files/")]
        token[where] = "A" if token[where] != "A" else "B"
        answer = call(None, "GET", f"/files/{''.join(token)}")
        assert (answer.status_code, answer.json["code"]) == (401, "access_denied")

    def test_one_that_was_signed_with_another_secret_or_for_another_use_is_401(self, call, rt, done):
        until = int(rt.clock().timestamp()) + 1000
        for secret, salt in (("x" * 40, links._SALT), (SECRET, "another use")):
            token = URLSafeSerializer(secret, salt=salt).dumps([done[0], "image", until])
            assert call(None, "GET", f"/files/{token}").status_code == 401

    def test_it_is_good_for_one_to_two_periods(self, call, signed, rt):
        now, period = rt.clock(), rt.settings.signed_url_seconds
        start = now.timestamp() // period * period
        for seconds, status in ((2 * period - 1, 200), (2 * period + 1, 401)):
            rt.clock = lambda then=start + seconds: now.fromtimestamp(then, now.tzinfo)
            assert call(None, "GET", signed).status_code == status

    def test_it_is_404_once_the_file_is_gone(self, call, signed, done, board, rt):
        rt.store.remove(board.row(done[0]).result["files"]["image"]["sha256"])
        assert call(None, "GET", signed).status_code == 404

    def test_it_is_404_once_the_request_is_forgotten(self, call, signed, done, board):
        board.do("DELETE FROM generation_requests WHERE id = :id", id=done[0])
        assert call(None, "GET", signed).status_code == 404


ELSEWHERE = [
    "..", "../..", "../../secret.txt", "..%2f..%2fsecret.txt", "%2e%2e", "%2e%2e%2f%2e%2e%2fsecret.txt",
    "....//....//secret.txt", "..\\..\\secret.txt", "/etc/passwd", "%2fetc%2fpasswd", "%00", "image%00", "image%00.png",
    "..%00", "%252e%252e%252fsecret.txt", "..;/secret.txt", "%c0%ae%c0%ae%2fsecret.txt", "image/", "image/../secret.txt",
    "C:%5cWindows", "CON", "drafts", ".", "%ff%fe", "image%0d%0aX-Evil: 1",
]  # fmt: skip


class TestNothingElse:
    @pytest.fixture
    def planted(self, rt, done):
        """Files that must never be sent: beside the store, in it, and a draft."""
        root = rt.settings.asset_dir
        for place in (root.parent / "secret.txt", root / "secret.txt", root / "drafts" / "secret.txt"):
            place.write_text("the planted secret")
        return done[0]

    @pytest.mark.parametrize("step", ELSEWHERE)
    def test_no_id_role_or_token_leads_out_of_the_store(self, call, planted, alice, step):
        for path in (
            f"{BASE}/requests/{planted}/files/{step}",
            f"{BASE}/requests/{step}/files/image",
            f"{BASE}/requests/{step}/files/{step}",
            f"/files/{step}",
            f"/docs/{step}",
        ):
            answer = call(alice, "GET", path)
            assert answer.status_code in (301, 308, 401, 404), (path, answer.status_code)
            assert b"planted" not in answer.data
            assert "X-Evil" not in answer.headers

    def test_a_signed_address_of_another_file_is_found_in_sql_only(self, call, planted):
        signer = URLSafeSerializer(SECRET, salt=links._SALT)
        names = ["../secret.txt", "/etc/passwd", "secret.txt", "..", ""]
        for request, role in product([planted, *names], names):
            answer = call(None, "GET", f"/files/{signer.dumps([request, role, 9_999_999_999])}")
            assert answer.status_code == 404
            assert b"planted" not in answer.data

    def test_a_row_with_a_name_that_is_no_hash_cannot_be(self, board):
        with pytest.raises(Exception, match="ck_assets_sha256"):
            board.do(
                "INSERT INTO assets (sha256, mime, bytes, width, height) VALUES ('../secret.txt', '', 0, 0, 0)"
            )

    def test_a_link_planted_in_the_store_is_not_followed(self, call, planted, signed, board, rt, alice):
        stored = rt.store.path(board.row(planted).result["files"]["image"]["sha256"])
        stored.unlink()
        stored.symlink_to(rt.settings.asset_dir.parent / "secret.txt")
        for who, path in ((alice, path_of(planted)), (None, signed), (alice, f"status/{planted}")):
            answer = call(who, "GET", path)
            assert answer.status_code in (200, 404)
            assert b"planted" not in answer.data
            assert "imageData" not in ((answer.json or {}).get("result") or {})


def test_an_api_key_opens_a_file(call, done, rt, alice):
    _, key = access.add_key(rt, "test", alice.user_id, "pages")
    assert call(None, "GET", path_of(done[0]), headers={"X-API-Key": key}).data == done[1]


def test_a_name_with_odd_signs_is_quoted_for_the_log_and_the_answer(call, alice):
    answer = call(alice, "GET", path_of(quote("<script>alert(1)</script>", safe="")))
    assert answer.status_code == 404
    assert "<script>" not in answer.text
