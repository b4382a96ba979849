"""Chains of requests that make one thing.

stages.py     what a pipeline is made of, and the requests that come of it
start.py      all of it written in one transaction
status.py     how it stands: read from its requests, stored nowhere
again.py      what failed, once more; what was made before is not made, or paid, again
"""
