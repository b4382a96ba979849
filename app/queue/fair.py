"""The order within a priority: start-time fair queueing (Goyal, Vin and Cheng, 1996; for several servers SFQ(D), Jin et al., 2004).

A request's tag is the virtual time when it comes into line, or its owner's last tag plus one if that is
later. The virtual time is the highest tag in service or the lowest that waits, whichever is later. (The tag
in service alone turned back whenever an old request ran by itself, and a newcomer's many then went before
all who waited.) So the second request of one owner stands behind the first of every other, however many
came before; and an owner with nothing in line starts afresh.

What waits for its time is not in line. It gets its tag when the time has come: with the tags of last week
one owner's thousands would go before everybody. What has been in service already keeps its tag, or gets a
new request's where that is lower.

Nothing is locked: two submits of one owner at the same instant may share a tag, which costs the others one turn.
"""

# The words of the indexes' conditions. A condition on the status would not do: the planner would then use
# these indexes wherever a statement speaks of the status, and read all that waits to find one by its id.
IN_SERVICE = "place IN ('running', 'waiting')"
IN_LINE = "place IN ('held', 'ready', 'running', 'waiting')"


def start(owner: str, weight: str) -> str:
    """Return the SQL of the tag that a request of `owner` with `weight` gets now; both are SQL expressions."""
    return f"""GREATEST(
        0,
        (SELECT max(fair_tag) FROM generation_requests WHERE priority_weight = {weight} AND {IN_SERVICE}),
        (SELECT min(fair_tag) FROM generation_queue WHERE priority_weight = {weight}),
        (SELECT max(fair_tag) + 1 FROM generation_requests
         WHERE owner_id = {owner} AND priority_weight = {weight} AND {IN_LINE}))"""
