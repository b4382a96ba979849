"""The environment, and below it what `.env` says: the only place where either is read."""

import os

from environs import FileAwareEnv


class Env(FileAwareEnv):
    """A secret `NAME` may also come from a file named by `NAME_FILE`."""

    def names(self) -> set[str]:
        """Return every variable that is set."""
        return {*os.environ, *self._environ}
