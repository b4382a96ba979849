"""Files under their own hash, and the guarded child process that finishes a picture before it gets there.

    finish.py       the parent's side: bytes from outside in, checked drafts out
    studio.py       the child's side: decode, check, turn upright, write picture and thumbnail
    containers.py   models, videos and JSON, which are kept as they came
    formats.py      how each file format is written
    provenance.py   where a picture came from, as EXIF and XMP
    picture.py      what travels between the two sides
    files.py        the store: drafts, publish, open, remove

Only the child decodes what came from outside; the caller publishes the drafts under their hash
once SQL has taken the result.
"""
