"""The film provider: a pan and zoom over a picture, with captions, offline and without a key.

`provider` plans and watches; all the work is done in a guarded child (`film`): the picture becomes a canvas
(`canvas`), a camera moves over it (`camera`), the words become captions (`words`, `fonts`, `captions`), and ffmpeg
makes the frames a film (`encoder`). The two talk through a folder (`errand`).
"""

from app.providers.kenburns.provider import Kenburns

__all__ = ["Kenburns"]
