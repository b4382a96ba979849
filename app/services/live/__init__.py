"""Who watches hears of everything, in order: SQL is the history, the channel only says when to look.

topic.py     what can be watched, who may, and how it stands
update.py    one event as watchers are told it
hub.py       the watchers of one process, and the one thread that reads for all of them
follow.py    how one begins: what stands is shown, what happens is told
wait.py      one answer that is held until something happens
figures.py   the queue's figures, once a second for all who watch them
"""
