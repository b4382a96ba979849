"""Which detector there is, by the settings."""

from pathlib import Path

from app.detect.local import LocalDetector
from app.detect.remote import RemoteDetector
from app.detect.seen import Detector
from app.egress.sender import Egress


def choose(*, model: Path | None, url: str | None, api_key: str | None, egress: Egress) -> Detector | None:
    """Return the local detector where its model can be run, else the remote one, or None where neither is named.

    A local one that can't be run is returned where it is the only one named: it says so itself.
    """
    local = LocalDetector(model) if model else None
    if local and (local.available() or not url):
        return local
    return RemoteDetector(url, egress, api_key=api_key) if url else None
