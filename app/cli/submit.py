"""`atelier submit`: ask for a picture, and wait for it where it is wanted."""

from pathlib import Path
from typing import Any, NoReturn

import click

from app.cli import watch
from app.cli.client import Client
from app.cli.connection import connect, service_options
from app.cli.screen import err, say
from app.cli.site import Site, data_dir_option
from app.domain.vocabulary import AspectRatio, ImageFormat, Kind, Priority

PATH = "/api/visual-generation/submit"
UPLOADS = "/api/visual-generation/uploads"
_LARGEST = 10 << 20
_SUFFIXES = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg", ".avif": "avif"}
# What a shell says of a program that Ctrl-C ended.
_INTERRUPTED = 130


def _one_of(words: type[Any]) -> click.Choice[str]:
    return click.Choice([str(word) for word in words])


@click.command()
@click.argument("prompt")
@click.option("--type", "kind", type=_one_of(Kind), default=str(Kind.COLORING_PAGE), show_default=True)
@click.option("--priority", type=_one_of(Priority), default=str(Priority.NORMAL), show_default=True)
@click.option("--aspect", type=_one_of(AspectRatio), help="The picture's shape.")
@click.option("--style", help="A style in words, as `watercolour`.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="The same seed draws the same picture.")
@click.option(
    "--format", "form", type=_one_of(ImageFormat), help="The file's format (else as --out is called)."
)
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="FILE_OR_URL",
    help="A picture to start from; up to four times.",
)
@click.option("--watch", "watched", is_flag=True, help="Wait for the picture, and show how far it is.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the picture; waits for it."
)
@service_options
@data_dir_option()
@click.pass_obj
def submit(
    site: Site,
    /,
    *,
    prompt: str,
    kind: str,
    priority: str,
    watched: bool,
    out: Path | None,
    references: tuple[str, ...],
    url: str | None,
    user: str,
    **wishes: Any,
) -> None:
    """Ask for the picture that PROMPT describes.

    Prints the request's id; with --watch where the picture is, with --out the file's name. The exit code is
    1 where the request failed or was cancelled.
    """
    if out and not out.absolute().parent.is_dir():
        raise click.BadParameter(f"There is no folder {out.parent}.", param_hint="--out")
    pictures = [_picture(reference) for reference in references]
    client = connect(site, url, user)
    metadata = _metadata(out, **wishes)
    order: dict[str, Any] = {"type": kind, "prompt": prompt, "priority": priority, "metadata": metadata}
    if pictures:
        order["referenceImages"] = [_reference(client, picture) for picture in pictures]
    request_id = str(client.post(PATH, order)["requestId"])
    if not watched and not out:
        click.echo(request_id)
        return
    click.echo(_finished(site, client, request_id, out))


def failure(state: watch.State) -> str:
    """Return why a request that ended has no picture."""
    error = state["error"] or {}
    return (
        f"{state['requestId']} {state['status']}: {error['message']}"
        if error
        else (f"{state['requestId']} was {state['status']}.")
    )


def _metadata(
    out: Path | None, *, aspect: str | None, style: str | None, seed: int | None, form: str | None
) -> dict[str, Any]:
    form = form or (_SUFFIXES.get(out.suffix.lower()) if out else None)
    wanted = {"aspectRatio": aspect, "imageStyle": style, "seed": seed, "format": form}
    return {name: value for name, value in wanted.items() if value is not None}


def _picture(reference: str) -> str | bytes:
    """Return the address, or the content of the file. Raises BadParameter."""
    if reference.startswith(("http://", "https://")):
        return reference
    try:
        with Path(reference).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as err:
        raise click.BadParameter(f"{reference}: {err.strerror}", param_hint="--reference") from err
    if len(content) > _LARGEST:
        raise click.BadParameter(f"{reference} is over {_LARGEST >> 20} MB.", param_hint="--reference")
    return content


def _reference(client: Client, picture: str | bytes) -> dict[str, str]:
    if isinstance(picture, str):
        return {"url": picture}
    return {"upload": str(client.send(UPLOADS, picture)["uploadId"])}


def _finished(site: Site, client: Client, request_id: str, out: Path | None) -> str:
    """Wait for the request; return its file's name, or its address where no file is wanted."""
    try:
        with watch.bar(err) as show:
            state = watch.request(client, request_id, show)
    except KeyboardInterrupt:
        _leave(site, request_id)
    if not state["result"]:
        raise click.ClickException(failure(state))
    if out:
        client.save(state, out)
    return str(out or state["result"]["imageUrl"])


def _leave(site: Site, request_id: str) -> NoReturn:
    say(f"{request_id} goes on. See how far it is with: {site.spelled(f'status {request_id}')}")
    raise click.exceptions.Exit(_INTERRUPTED)
