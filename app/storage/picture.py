"""What is asked of a picture's finishing, and how it can fail."""

from dataclasses import dataclass

from app.domain.errors import HouseError
from app.domain.vocabulary import ImageFormat


class BadImage(HouseError):
    """The bytes can't be made into a picture; the message may be shown to a client."""

    code = "bad_result"


@dataclass(frozen=True)
class Provenance:
    """Where a picture came from; `credit` is the line that its drawing's licence asks for, if it asks."""

    prompt: str
    kind: str
    provider: str
    model: str
    request_id: str
    seed: int | None = None
    credit: str = ""


@dataclass(frozen=True)
class Finish:
    """What is wanted of a picture: the format (None: WebP), and to keep it without loss if it is line art."""

    format: ImageFormat | None
    line_art: bool
    provenance: Provenance
