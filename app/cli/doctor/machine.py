"""What this machine gives: the settings, the signing secret, the disk, how far webhooks reach."""

import math
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from app.cli.doctor.finding import Finding, bad, doubt, good
from app.cli.site import Site
from app.config import Settings

_LEAST_BITS = 100
_ZLIB_FRAME = 11
_LEAST_FREE = 1 << 30
_OTHERS = 0o077


def look(site: Site, found: Settings) -> Iterator[Finding]:
    yield _settings(site)
    yield secret(found.jwt_secret)
    yield disk(found.asset_dir)
    yield webhooks(private=found.webhook_allow_private)


def secret(shown: str) -> Finding:
    """Judge the secret by itself: a word that is repeated is long, and weak."""
    name = "JWT_SECRET"
    bits = _bits(shown)
    if bits < _LEAST_BITS:
        advice = "Make one with: openssl rand -base64 48\nTokens that were given out are void then."
        return doubt(name, f"it has about {bits:.0f} bits of chance in it, {_LEAST_BITS} are wanted", advice)
    return good(name, f"{len(shown.encode())} bytes")


def disk(folder: Path) -> Finding:
    name = "disk"
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=standing):
            free = shutil.disk_usage(standing).free
    except OSError as err:
        return bad(
            name, f"{folder} can't be written: {err.strerror}", "Give this user the folder, or set ASSET_DIR."
        )
    seen = f"{free / (1 << 30):.1f} GB free in {folder}"
    if free < _LEAST_FREE:
        return bad(name, seen, "Make room, lower RESULT_RETENTION_DAYS, or move ASSET_DIR.")
    return good(name, seen)


def webhooks(*, private: bool) -> Finding:
    name = "webhooks"
    if private:
        return doubt(
            name,
            "they may go to private addresses, and over http",
            "Whoever may submit can reach this network with them. Outside of development, take"
            " WEBHOOK_ALLOW_PRIVATE away.",
        )
    return good(name, "they go to public addresses only, over https")


def _settings(site: Site) -> Finding:
    name = "settings"
    if not site.env_file.exists():
        return good(name, "from the environment")
    if site.env_file.stat().st_mode & _OTHERS:
        return doubt(
            name, f"{site.env_file} holds secrets and others may read it", f"chmod 600 {site.env_file}"
        )
    return good(name, str(site.env_file))


def _bits(shown: str) -> float:
    """Return the least of two estimates: by how often each letter comes, and by what repeats."""
    shares = [n / len(shown) for n in Counter(shown).values()]
    by_letters = -sum(share * math.log2(share) for share in shares) * len(shown)
    by_pattern = (len(zlib.compress(shown.encode())) - _ZLIB_FRAME) * 8
    return max(0.0, min(by_letters, by_pattern))
