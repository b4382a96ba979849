"""Pictures for games: jobs of several at once, in a style that references show [A24]-[A28].

prompts.py      what is said of a kind of asset besides the client's words
ask.py          a job, written in one transaction with the assets that it makes
jobs.py         how a job stands, and its end before its time
style_packs.py  references that are kept, to draw from again
"""
