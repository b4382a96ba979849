"""3D assets [A30]-[A44]: from words or a picture to a model, its materials, skeleton and sprites.

wish.py         what a client wants made, and the tiers of quality
plan.py         the stages of that, each an order
start.py        the pipeline and its assets, written in one transaction
standing.py     how a pipeline stands, as its document shows it
assets.py       assets listed, shown, changed and deleted
files.py        the names that files are asked for by, and the roles that they stand for
variants.py     a model in another material; a model made anew
sprites.py      views of a model: drawn by a request, or sent by a client
presets.py      materials: shipped ones and one's own
prompts.py      the words that assets are described with: shipped ones and one's own
weapons.py      where a weapon is held, and which way up it is
"""
