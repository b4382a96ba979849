"""Passwords and addresses that are made once and kept in files that only their owner may read."""

import os
import secrets
from pathlib import Path


def password(path: Path) -> tuple[str, bool]:
    """The password kept in `path`, and whether it was made just now. It needs no quoting in a URL."""
    if path.exists():
        return path.read_text(encoding="utf-8").strip(), False
    fresh = secrets.token_urlsafe(24)
    write(path, fresh + "\n")
    return fresh, True


def write(path: Path, text: str) -> None:
    """Replace `path` by a file of mode 0600 with `text`; readers see the old or the new, never half."""
    staging = path.with_name(f"{path.name}.new")
    staging.unlink(missing_ok=True)
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    staging.replace(path)


def read(path: Path) -> str | None:
    """What `write` wrote, without the line's end; None where there is none."""
    return path.read_text(encoding="utf-8").strip() if path.exists() else None
