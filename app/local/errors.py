"""What can go wrong here."""

from app.domain.errors import HouseError


class CannotStart(HouseError):
    """A server or a child can't be started; the message says why and what to do."""

    code = "cannot_start"


class AlreadyRunning(CannotStart):
    """Another process holds this data folder."""

    code = "already_running"
