"""The drawing provider: pictures from a prompt's words, offline and without a key.

Words become motifs (`tokens`, `language`, `words`), motifs a cast and a composition (`cast`, `scene`,
`sheet`), and that an SVG (`ink`) that resvg turns into pixels (`provider`).
"""

from app.providers.sketch.motifs import CREDIT
from app.providers.sketch.provider import Sketch

__all__ = ["CREDIT", "Sketch"]
