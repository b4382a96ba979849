"""Pictures of places, things and people, as the AI-DnD document has them: assets of the library's collection `image`.

wish.py        what is asked for, and the words that a provider gets
generate.py    asked for
found.py       one, with how far it is
search.py      many
feature.py     the one that is shown first of its subject
trash.py       deleted, put back
saved.py       what a browser has kept, read from a file piece by piece
bring.py       what was saved becomes pictures and scenes
upkeep.py      cleaned up, counted
"""
