"""What a backup says about itself."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from app.domain.errors import HouseError

_FORMAT = 1


class Damaged(HouseError):
    """A backup is not what was written; the message says which file."""

    code = "backup_damaged"


@dataclass(frozen=True)
class Manifest:
    """`made_at` in ISO 8601; `server` and `programs` are PostgreSQL's major versions, of the server and of pg_dump.

    `revision` is the database's, `rows` its tables' sizes, `assets` how many files the list names, and
    `missing` those of them that the service itself had lost by then.
    """

    made_at: str
    atelier: str
    revision: str
    server: int
    programs: int
    dump_sha256: str
    list_sha256: str
    assets: int
    missing: tuple[str, ...]
    rows: Mapping[str, int]

    def written(self) -> bytes:
        return (json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n").encode()

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Raises Damaged, also for a format that this version doesn't know."""
        try:
            values = json.loads(path.read_bytes())
            form = values.pop("format")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise Damaged(f"{path} can't be read.") from err
        if form != _FORMAT:
            raise Damaged(f"{path} is of format {form}; this version of Atelier reads format {_FORMAT}.")
        try:
            return cls(**{**values, "missing": tuple(values["missing"])})
        except (KeyError, TypeError) as err:
            raise Damaged(f"{path} can't be read.") from err
