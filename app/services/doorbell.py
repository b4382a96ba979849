"""A provider says that something happened to its work: it is asked sooner, and believed nothing.

A ring is never needed. One that is lost, or that comes while the provider is being asked (before the answer to
the submit is stored, say), changes nothing: the poll comes at its own time anyway.
"""

from collections.abc import Mapping

from app.domain import doorbell
from app.domain.errors import AccessDenied, NotFound
from app.domain.work import Work
from app.queue import promote
from app.runtime import Runtime


def address(rt: Runtime, work: Work) -> str | None:
    """Return where the provider may ring for a call: at the operator's own address, else at one of the call's."""
    settings = rt.settings
    options = settings.provider_options.get(work.provider)
    own = options.more.get("webhook_url") if options else None
    return own or doorbell.address(settings.public_url, settings.jwt_secret, work.provider, work.call_id)


def ring(rt: Runtime, name: str, token: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Let the work that a webhook speaks of be asked after soon; return whether it is open.

    A call's own address says which work it is; at an account's the body does. A signature has to be right
    wherever the operator has said what it is made with. Raises NotFound for an address that isn't ours,
    AccessDenied for a signature that is wrong or missing.
    """
    provider, secret = rt.providers.get(name), rt.settings.jwt_secret
    call_id = doorbell.call_of(token, secret, name)
    if provider is None or (call_id is None and not doorbell.fits(token, secret, name)):
        raise NotFound("Not found")
    signed = "webhook_secret" in provider.options.more
    heard = provider.parse_webhook(headers, body) if signed or call_id is None else None
    if signed and not (heard and heard.verified):
        raise AccessDenied("The signature is not right.")
    if call_id is not None:
        with rt.db.once() as tx:
            return promote.sooner(tx, name, call_id, provider.poll_floor)
    # What can't be printed is no job's name, and nothing that PostgreSQL could be asked for.
    if heard is None or not heard.job.isprintable():
        return False
    with rt.db.once() as tx:
        return promote.sooner_by_job(tx, name, provider.job_field, heard.job, provider.poll_floor)
