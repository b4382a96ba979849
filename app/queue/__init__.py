"""The SQL queue: the only code that changes a request's status. Each file is one act.

PostgreSQL owns every fact; Redis only rings. A request's record and its queue row are written in one
transaction, so what was acknowledged is there; a broker beside the database can't promise that.

    enqueue.py   nothing -> queued (or held, or delayed)
    claim.py     queued -> in-progress, with a lease and a fence
    settle.py    in-progress -> completed, failed, queued again (retry, release), or waiting (snooze)
    progress.py  in-progress, further on
    cancel.py    queued, in-progress -> cancelled
    promote.py   what waited for a time -> claimable
    admit.py     what its batch held back, or what waited for others to end -> claimable
    chain.py     what needed a request that has ended
    rescue.py    in-progress under a dead lease -> queued or failed
    expire.py    queued beyond its date -> failed
    fair.py      the order within a priority
    lease.py     the lease that a worker's claims live on
    attempts.py  one row per provider call, written before the call
    stats.py     how long the queue is and how long it takes, at a cost that doesn't grow with it

Locks are taken in one order everywhere: queue row, request rows (those of a pipeline in the order of their ids),
assets of the library, batch. (The other order of the first two deadlocked with claims 53 times in four seconds when
it was tried.) Only the books of budgets, which a trigger keeps, may be met halfway in a pipeline; who is chosen as a
deadlock's victim is run again.

Times are the database's. They are written with clock_timestamp() and compared with statement_timestamp():
the former may change while a statement runs, so PostgreSQL looks through a whole index for it.
"""
