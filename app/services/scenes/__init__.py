"""Scenes: a place at a time of day in a weather, drawn once and shown again for days.

scene.py     what is asked for, and how it stands
ask.py       shown, waited for or drawn: one generation for any number of callers
cache.py     counted, cleared
"""
