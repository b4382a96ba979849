"""`python -m workers`: one RQ worker, running drain tickets until it is told to stop."""

import signal
import sys

from redis import Redis

from app.config import BadSettings
from app.events import tickets
from app.services import rescue
from workers.process import tools
from workers.worker import DrainWorker


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 when it ended as asked, 2 where the settings are wrong."""
    try:
        rt = tools()
    except BadSettings as err:
        print(err, file=sys.stderr)
        return 2
    # Held back until the drain listens; see workers/tasks.py.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    rescue.release_dead_neighbours(rt)
    rt.bell.push_ticket()
    rt.close()
    queue = tickets.queue(Redis.from_url(rt.settings.redis_url))
    DrainWorker(queue, ticket_seconds=rt.settings.ticket_seconds).work(
        logging_level="WARNING", with_scheduler=False
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
