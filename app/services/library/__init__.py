"""What owners keep: pictures, models and what was made of them, whatever becomes of the requests that made them.

assets.py     an asset: written, found, its files, deleted, put back
"""
