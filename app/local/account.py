"""The user that the servers run as: ourselves, or someone without rights where we are root.

PostgreSQL refuses to run as root. Nobody is added to the machine for it: `postgres` is taken where it
exists, else `nobody`, and a cluster that exists keeps running as its owner.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.local.errors import CannotStart
from app.local.orphan import mortal

_CANDIDATES = ("postgres", "nobody")
_PROBE_SECONDS = 30.0


@dataclass(frozen=True)
class Account:
    """A user of this machine; without ids it is whoever runs us."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @property
    def groups(self) -> list[int] | None:
        return None if self.uid is None else []

    @property
    def owner(self) -> int:
        """The user id that this account's files carry."""
        return os.geteuid() if self.uid is None else self.uid


def choose(servers: Path) -> Account:
    """The account for the servers' folder `servers`, which need not exist yet.

    Raises CannotStart where no account will do.
    """
    if os.geteuid() != 0:
        return Account(_own_name())
    owner = servers.stat().st_uid if servers.exists() else 0
    account = _unprivileged() if owner == 0 else _by_id(owner)
    _check_switch(account)
    return account


def give(path: Path, account: Account) -> None:
    """Make `account` the owner of `path`."""
    if account.uid is not None and account.gid is not None:
        os.chown(path, account.uid, account.gid)


def run(
    account: Account, command: Sequence[str | Path], *, feed: str = "", timeout: float = _PROBE_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end as `account`, `feed` on its input; `stdout` has both outputs.

    Raises OSError where it can't be started, CannotStart where it takes longer than `timeout` seconds.
    """
    try:
        return subprocess.run(  # noqa: S603 - no shell, and the words are this package's
            [str(word) for word in command],
            input=feed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
            cwd="/",
            env=server_env(),
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
            timeout=timeout,
            start_new_session=True,  # Ctrl-C is for the supervisor, who stops when this is done
            preexec_fn=mortal(signal.SIGKILL),
        )
    except subprocess.TimeoutExpired as err:
        raise CannotStart(f"{command[0]} did not end within {timeout:g} s") from err


def can_enter(account: Account, folder: Path) -> bool:
    """Whether `account` may pass through `folder` and all that leads there (tried, so that ACLs count)."""
    return run(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", folder]).returncode == 0


def server_env() -> Mapping[str, str]:
    """What servers see of our environment: no secrets, no PG* variables, no locale of the caller's."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as err:
        raise CannotStart(
            f"user id {os.geteuid()} has no name on this machine, and PostgreSQL needs one: "
            "add it to /etc/passwd, or set DATABASE_URL and REDIS_URL"
        ) from err


def _unprivileged() -> Account:
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise CannotStart(
        "PostgreSQL does not run as root, and this machine has neither a user 'postgres' nor 'nobody': "
        "run this as an ordinary user, or set DATABASE_URL and REDIS_URL"
    )


def _by_id(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as err:
        raise CannotStart(
            f"the database files belong to user id {uid}, which this machine does not know"
        ) from err
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _check_switch(account: Account) -> None:
    try:
        run(account, ["/bin/sh", "-c", ":"])
    except OSError as err:
        raise CannotStart(
            f"root may not become user '{account.name}' here ({err.strerror}), and PostgreSQL does not run "
            "as root: run this as an ordinary user, or set DATABASE_URL and REDIS_URL"
        ) from err
