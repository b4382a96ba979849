"""Live updates: the WebSocket, the event stream, and what both have in common.

watchers.py   every open client of this process: how many, whose, for how long; the one thread that looks after them
outbox.py     what waits to be sent to one client, up to a bound
wire.py       the socket under a WebSocket: whole frames, counted bytes, a way to cut it off
line.py       one WebSocket, as a session uses it
session.py    one WebSocket's conversation
socket.py     the route /ws
stream.py     the same as Server-Sent Events
"""
