"""Pictures that a request starts from: taken with the request or fetched before its first call, stored, referred to.

A request's metadata names them as they are stored, by hash, by address, or by the request that makes them:
`{"referenceImages": [{"sha256": "..."}, {"url": "..."}, {"request": "...", "role": "image"}]}`. Its rows in
`request_assets` (`reference-0`, ...) keep the files, those of addresses and requests too once they were read.
"""

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import RowMapping, text

from app.domain.errors import FieldFault, IllegalMove, Invalid
from app.domain.failure import FailureKind
from app.domain.reference import Given, Inline, Linked, Uploaded, role
from app.egress.address import origin
from app.egress.errors import EgressError, Refused, reason
from app.egress.guard import Guard
from app.providers import sniff
from app.providers.base import ProviderError, Reference
from app.queue import assets
from app.queue.claim import Claim
from app.runtime import Runtime
from app.services import submit, upload
from app.services.identity import Who
from app.services.submit import Order
from app.storage.finish import BadImage, Finished

_log = structlog.get_logger(__name__)
FIELD = "referenceImages"
FETCH_SECONDS = 20.0
FETCH_BYTES = 20 << 20
# Of one call: a batch could else bring thousands of tiny files, each of which unpacks to forty megapixels.
MOST_INLINE = 64


@dataclass(frozen=True)
class _Place:
    """A picture, with the name of its field."""

    field: str
    given: Given


def take(
    rt: Runtime, who: Who, orders: Sequence[Order], *, each: str = "", store: bool = True
) -> list[Order]:
    """Return the orders with their pictures in their metadata; without `store` only look what is wrong with them.

    `each` is what the names of an order's fields begin with, as "requests.{}." with its index. Raises Invalid
    with all that is wrong, Unavailable.
    """
    if not any(order.reference_images for order in orders):
        return list(orders)
    # What is refused anyway is not worth the reading.
    _refuse([fault for n, order in enumerate(orders) for fault in submit.faults(rt, order, each.format(n))])
    places = [
        _Place(f"{each.format(n)}{FIELD}.{i}.{given.name}", given)
        for n, order in enumerate(orders)
        for i, given in enumerate(order.reference_images)
    ]
    hashes = _known(rt, who, places, use=store) | _taken(rt, places, store=store)
    return [_with(order, hashes) for order in orders]


def check_stored(rt: Runtime, rows: Iterable[RowMapping]) -> None:
    """See that the pictures of requests that are to be tried again are still there. Raises IllegalMove."""
    for row in rows:
        for n, image in enumerate(row["metadata"].get(FIELD, ()), 1):
            if "sha256" in image and not rt.store.path(image["sha256"]).exists():
                raise IllegalMove(f"Reference image {n} of {row['id']} is no longer stored.")


def load(rt: Runtime, claim: Claim) -> tuple[Reference, ...]:
    """Return the pictures of a claimed request; one that is only an address is fetched once, and stored.

    No connection to the database is held meanwhile. Raises ProviderError (bad_request, storage).
    """
    wanted = claim.metadata.get(FIELD, ())
    if not wanted:
        return ()
    stored = rt.db.insist(lambda: stored_of(rt, claim.request_id), seconds=rt.settings.attempt_seconds)
    try:
        return tuple(_loaded(rt, claim, n, image, stored.get(role(n))) for n, image in enumerate(wanted))
    except OSError as err:
        _log.error("reference_not_read", request=claim.request_id, error=type(err).__name__, errno=err.errno)
        raise ProviderError(FailureKind.STORAGE, "The reference images can't be read or stored now.") from err


def stored_of(rt: Runtime, request_id: str) -> dict[str, tuple[str, str]]:
    """Return hash and media type of the files of a request, those that it works from too, by role."""
    with rt.db.once() as tx:
        rows = tx.execute(_STORED, {"id": request_id})
        return {row.role: (row.sha256, row.mime) for row in rows}


def _refuse(faults: Sequence[FieldFault]) -> None:
    if faults:
        raise Invalid(*faults)


def _known(rt: Runtime, who: Who, places: Sequence[_Place], *, use: bool) -> dict[Given, str]:
    """Return the hashes of uploads, once all that can be told without reading a picture is right. Raises Invalid."""
    named = {place.given.upload for place in places if isinstance(place.given, Uploaded)}
    known = upload.hashes(rt, who, named, use=use)
    faults = []
    for place in places:
        match place.given:
            case Uploaded(upload_id) if upload_id not in known:
                faults.append(FieldFault(place.field, "There is no upload of this id."))
            case Linked(url) if wrong := _wrong(rt, url):
                faults.append(FieldFault(place.field, wrong))
    _refuse(faults)
    return {Uploaded(upload_id): sha256 for upload_id, sha256 in known.items()}


def _taken(rt: Runtime, places: Sequence[_Place], *, store: bool) -> dict[Given, str]:
    """Read what came with the request, the same once, and keep it; return the hashes. Raises Invalid, Unavailable."""
    fields: dict[Inline, list[str]] = {}
    for place in places:
        if isinstance(place.given, Inline):
            fields.setdefault(place.given, []).append(place.field)
    if len(fields) > MOST_INLINE:
        last = list(fields.values())[MOST_INLINE][0]
        raise Invalid(
            FieldFault(last, f"At most {MOST_INLINE} pictures come in one call; upload the others.")
        )
    files: dict[Given, Finished] = {}
    faults = []
    with ExitStack() as drafts:
        for given, names in fields.items():
            try:
                files[given] = drafts.enter_context(upload.read(rt, given.content))
            except BadImage as err:
                faults += [FieldFault(name, str(err)) for name in names]
        _refuse(faults)
        if store:
            upload.publish(rt, list(files.values()))
    return {given: file.facts.sha256 for given, file in files.items()}


def _with(order: Order, hashes: Mapping[Given, str]) -> Order:
    """Return the order with its pictures as a request's metadata names them."""
    if not order.reference_images:
        return order
    stored = [
        {"url": given.url} if isinstance(given, Linked) else {"sha256": hashes[given]}
        for given in order.reference_images
    ]
    return replace(order, reference_images=(), metadata={**order.metadata, FIELD: stored})


def _wrong(rt: Runtime, url: str) -> str | None:
    """Return why an address is refused before anybody is asked; what its name leads to is seen when it is fetched."""
    try:
        place = origin(url)
        if address := _literal(place.host):
            Guard(rt.settings.fetch_allow).check(place.host, place.port, address)
    except Refused:
        return "Must be a public http or https address, without a user or password in it."
    return None


def _literal(host: str) -> str | None:
    """Return the IP address that stands for itself in an address, in whatever way it is written."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _loaded(
    rt: Runtime, claim: Claim, index: int, image: Mapping[str, str], stored: tuple[str, str] | None
) -> Reference:
    if stored:
        sha256, mime = stored
        with rt.store.open(sha256) as file:
            return Reference(file.read(), mime, sha256)
    if "url" in image:
        return _read(rt, claim, index, _fetched(rt, index, image["url"]))
    if "request" in image:
        return _read(rt, claim, index, _made(rt, index, image["request"], image["role"]))
    raise ProviderError(FailureKind.BAD_REQUEST, f"Reference image {index + 1} is no longer stored.")


def _fetched(rt: Runtime, index: int, url: str) -> bytes:
    nth = f"Reference image {index + 1}"
    try:
        reply = rt.egress.fetch(url, seconds=FETCH_SECONDS, limit=FETCH_BYTES)
    except EgressError as err:
        raise ProviderError(
            FailureKind.BAD_REQUEST,
            f"{nth} could not be fetched: {reason(err, seconds=FETCH_SECONDS, limit=FETCH_BYTES)}.",
        ) from err
    if not reply.ok:
        why = f"its server answered {reply.status}"
        raise ProviderError(FailureKind.BAD_REQUEST, f"{nth} could not be fetched: {why}.")
    if sniff.mime_of(reply.body) not in sniff.PICTURES:
        why = "it is not a PNG, JPEG, WebP, GIF or AVIF picture"
        raise ProviderError(FailureKind.BAD_REQUEST, f"{nth} can't be used: {why}.")
    return reply.body


def _made(rt: Runtime, index: int, request_id: str, role: str) -> bytes:
    """Return the picture that a request before this one has made."""
    made = rt.db.insist(lambda: stored_of(rt, request_id), seconds=rt.settings.attempt_seconds).get(role)
    if made is None:
        raise ProviderError(FailureKind.BAD_REQUEST, f"Reference image {index + 1} is no longer stored.")
    with rt.store.open(made[0]) as file:
        return file.read()


def _read(rt: Runtime, claim: Claim, index: int, content: bytes) -> Reference:
    """Make the picture ours, and keep it, so that another attempt finds it."""
    try:
        file = rt.finisher.reference(content)
    except BadImage as err:
        message = f"Reference image {index + 1} can't be used. {err}"
        raise ProviderError(FailureKind.BAD_REQUEST, message) from err
    try:
        content = file.draft.read_bytes()
        rt.db.insist(lambda: _keep(rt, claim, index, file), seconds=rt.settings.attempt_seconds)
    finally:
        file.draft.unlink(missing_ok=True)
    return Reference(content, file.facts.mime, file.facts.sha256)


def _keep(rt: Runtime, claim: Claim, index: int, file: Finished) -> None:
    given = {"id": claim.request_id, "fence": claim.fence, "role": role(index), "sha256": file.facts.sha256}
    with rt.db.begin() as tx:
        # The row's lock comes before the file, so that a clean-up can't take away what is being kept.
        assets.keep(tx, [file.facts])
        rt.store.publish(file.draft, file.facts.sha256)
        tx.execute(_REFER, given)


_STORED = text("""
SELECT role, sha256, mime FROM request_assets JOIN assets USING (sha256)
WHERE request_id = :id
""")
_REFER = text("""
INSERT INTO request_assets (request_id, role, sha256)
SELECT id, :role, :sha256 FROM generation_requests WHERE id = :id AND fence = :fence AND status = 'in-progress'
ON CONFLICT DO NOTHING
""")
