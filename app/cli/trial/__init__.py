"""`atelier provider check`: one provider, tried.

subject.py  the provider, fresh as often as it is wanted, and what it would be sent
free.py     how it is, and its plans: costs nothing
real.py     one picture, drawn
"""
