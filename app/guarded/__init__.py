"""Work on bytes from outside, in child processes with limits (guard.py).

child.py is what such a child does to itself, decoders.py what it is told of Pillow.
"""
