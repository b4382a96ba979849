"""Videos about pets: a picture, words, and the film of both [A48]-[A55].

picture.py    the picture is taken, from wherever it is
pets.py       whether there is a pet in it
ask.py        the pipeline: a translation, if need be, and the film
find.py       how a video stands
webhook.py    the one address at which makers of videos may ring
figures.py    how many came about, were refused, were told of, and how long it took
"""
