"""What a provider has delivered, kept as it came until the request shows it: it is paid for, and a process can die.

root/held/<name>/facts.json, 0, 1, ...    one folder a call, there whole or not at all
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.storage.files import sync_folder, write_synced

_FACTS = "facts.json"


class Held:
    """Deliveries by a name of their own, which is a file's name. Errors of the disk are raised as OSError."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "held"

    def hold(self, name: str, facts: Mapping[str, Any], parts: Sequence[bytes]) -> None:
        """Keep a delivery: facts as JSON and its files in their order. Synced; a second time is fine."""
        whole = self._folder / name
        if whole.exists():
            return
        draft = self._folder / f"{name}.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for index, part in enumerate(parts):
            write_synced(draft / str(index), part)
        write_synced(draft / _FACTS, json.dumps(facts).encode())
        sync_folder(draft)
        draft.rename(whole)
        sync_folder(self._folder)

    def look(self, name: str) -> tuple[dict[str, Any], list[bytes]] | None:
        """Return the facts and files of a delivery, or None where nothing was held."""
        whole = self._folder / name
        try:
            facts = json.loads((whole / _FACTS).read_bytes())
        except FileNotFoundError:
            return None
        parts = sorted(
            (path for path in whole.iterdir() if path.name != _FACTS), key=lambda path: int(path.name)
        )
        return facts, [part.read_bytes() for part in parts]

    def drop(self, name: str) -> None:
        """Let go of a delivery; one that isn't there is fine."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def clear(self, older_than_seconds: float) -> int:
        """Let go of what was held so long ago that no request can want it; return how many."""
        if not self._folder.is_dir():
            return 0
        newest = time.time() - older_than_seconds
        old = [folder for folder in self._folder.iterdir() if folder.stat().st_mtime <= newest]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return len(old)
