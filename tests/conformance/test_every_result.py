"""What becomes of result files: where they are fetched from, and what is in them."""

import time

import pytest

from app.domain.failure import Charged, FailureKind
from app.egress.sender import Egress
from app.providers.wire import FILE_BYTES
from tests.conformance import common
from tests.conformance.case import Case, run
from tests.conformance.suite import SHORT, SLACK, ceiling, discreet, failed, maker, over, pairs
from tests.fakes.house import House, faults, files
from tests.fakes.house.context import Context


@pairs("fault", common.PASSING_FETCH, when=lambda case: case.cdn)
def test_a_download_that_fails_is_repeated_and_nothing_is_bought_twice(
    case: Case, fault: str, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    house.script("cdn", ".", common.PASSING_FETCH[fault]())
    story = run(maker(case, house, egress), case.plainest, Context(), again=1)
    assert story.done, story.error
    assert [err.failure.kind for err in story.forgiven] == [FailureKind.RESULT_FETCH]
    discreet(story.forgiven[0], caplog)
    assert house.charges[case.name] == 1


@pairs("fault", common.GONE, when=lambda case: case.cdn)
def test_a_result_that_cannot_be_had_means_its_kind(
    case: Case, fault: str, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    reply, kind = common.GONE[fault]
    house.script("cdn", ".", reply(), forever=True)
    with ceiling(2 * FILE_BYTES):
        story = run(maker(case, house, egress), case.plainest, Context())
    err = failed(story, case.differs.get(fault, {kind}), caplog)
    assert case.free or err.failure.charged is Charged.YES
    assert len(house.fetched) <= 4


@over(lambda case: case.cdn)
def test_a_download_ends_with_its_time(case: Case, house: House, egress: Egress) -> None:
    house.script("cdn", ".", faults.silent())
    began = time.monotonic()
    context = Context(4 * SHORT)
    story = run(maker(case, house, egress), case.plainest, context)
    assert time.monotonic() - began < 4 * SHORT + SLACK
    assert story.error is not None
    assert story.error.failure.kind is FailureKind.RESULT_FETCH


@over(lambda case: case.cdn)
def test_a_download_follows_a_redirect_to_a_place_that_may_be_asked(
    case: Case, house: House, egress: Egress
) -> None:
    house.script("cdn", ".", faults.redirect(house.file(files.of(min(case.formats)))))
    assert run(maker(case, house, egress), case.plainest, Context()).done


@over(lambda case: case.cdn)
def test_addresses_that_lead_inside_are_never_asked(
    case: Case, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    for words, url in common.forbidden(house).items():
        house.reset()
        house.mislead(url)
        story = run(maker(case, house, egress), case.plainest, Context(5))
        assert story.error is not None, words
        assert story.error.failure.kind in {FailureKind.BAD_RESULT, FailureKind.PROTOCOL}, words
        discreet(story.error, caplog)
        assert not house.fetched, words


@over(lambda case: case.art)
def test_what_a_file_is_decides_what_it_is_taken_for(case: Case, house: House, egress: Egress) -> None:
    for mime in sorted(case.formats):
        house.reset()
        house.spoil(files.of(mime))
        story = run(maker(case, house, egress), case.plainest, Context())
        assert story.error is None, (mime, story.error)
        assert mime in {one.mime for one in story.artifacts}


@over(lambda case: case.art)
def test_what_is_not_a_whole_file_of_the_kind_is_no_result(
    case: Case, house: House, egress: Egress, caplog: pytest.LogCaptureFixture
) -> None:
    strangers = {
        "a page": files.html(),
        "an archive": files.archive(),
        "a program": files.program(),
        "a drawing that can run": files.svg(script=True),
        "half a picture": files.truncated_png(),
        "a model that says it is longer": files.glb(lie=400),
        "a few bytes": b"\x89PN",
        "nothing": b"",
    }
    for words, content in strangers.items():
        house.reset()
        house.spoil(content)
        story = run(maker(case, house, egress), case.plainest, Context())
        assert story.error is not None, words
        assert story.error.failure.kind is FailureKind.BAD_RESULT, (words, story.error)
        assert case.free or story.error.failure.charged is not Charged.NO, words
        discreet(story.error, caplog)


@over(lambda case: case.art and "image/png" in case.formats)
def test_pictures_that_would_unpack_to_gigabytes_are_not_unpacked(
    case: Case, house: House, egress: Egress
) -> None:
    for content in (files.bomb(), files.fat_png()):
        house.reset()
        house.spoil(content)
        with ceiling(32 << 20):
            story = run(maker(case, house, egress), case.plainest, Context())
        assert story.done or story.error
