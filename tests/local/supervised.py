"""A supervisor for tests to interrupt: `supervised.py DATA_DIR [as=UID] [servers] [SHELL_COMMAND ...]`.

Prints the supervisor's messages, `READY {name: pid}` once all children are ready, `STOPPED signal` at the end.
"""

import json
import os
import sys
from pathlib import Path

from app.local.child import Child
from app.local.errors import CannotStart
from app.local.postgres import Postgres
from app.local.supervisor import Supervisor
from app.local.valkey import Valkey


def say(message: str) -> None:
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


def become(uid: int) -> None:
    # Here and not by Popen, because the Python itself may be where only root can read it.
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.environ["HOME"] = "/"


def main(data: Path, words: list[str]) -> None:
    with Supervisor(data, emit=say) as supervisor:
        if "servers" in words:
            supervisor.start(Postgres.prepare(data).child())
            supervisor.start(Valkey.prepare(data).child())
        for number, command in enumerate(word for word in words if word != "servers"):
            supervisor.start(Child(f"child-{number}", ["/bin/sh", "-c", command], stop_timeout=1.0))
        say(f"READY {json.dumps(supervisor.pids())}")
        supervisor.watch()
    say(f"STOPPED {supervisor.stopped_by!r}")


try:
    if sys.argv[2].startswith("as="):
        become(int(sys.argv.pop(2).removeprefix("as=")))
    main(Path(sys.argv[1]), sys.argv[2:])
except CannotStart as err:
    sys.exit(f"REFUSED {err.code}: {err}")
