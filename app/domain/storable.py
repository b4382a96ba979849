"""Text that PostgreSQL and JSON can carry: no NUL, no half of a surrogate pair."""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(words: str) -> bool:
    return not _UNSTORABLE.search(words)
