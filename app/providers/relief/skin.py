"""What a relief wears: the picture itself, without a fringe of background, and a normal map of its fine lines."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from app.providers.relief.subject import Floats, Mask, Subject

_QUALITY = 90
_FINE, _DEPTH = 1024, 2.0
# Half the width of a drawn line as a share of the side, and the brightest channel that ink may have.
_LINE, _INK = 0.012, 90


def skin(subject: Subject, side: int) -> bytes:
    """Return the texture as JPEG, `side` pixels square; beyond the outline the subject's colours go on."""
    small = np.asarray(subject.cut.resize(subject.mask.shape, Image.Resampling.BOX))
    core = _core(subject, small)
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    spread = Image.fromarray(small[tuple(nearest)]).resize((side, side), Image.Resampling.BICUBIC)
    stencil = Image.fromarray(core.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BILINEAR)
    full = Image.composite(subject.cut.resize((side, side), Image.Resampling.LANCZOS), spread, stencil)
    return _jpeg(full)


def bumps(subject: Subject, side: int) -> bytes:
    """Return the normal map as JPEG, at most `side` pixels square: bright is high, as in the relief."""
    size = min(side, _FINE)
    grey = subject.cut.convert("L").resize((size, size), Image.Resampling.LANCZOS)
    height: Floats = ndimage.gaussian_filter(np.asarray(grey, np.float32) / 255, 1.5)
    down, across = np.gradient(height * _DEPTH)
    normals = np.stack([-across, down, np.ones_like(across)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return _jpeg(Image.fromarray(((normals + 1) * 127.5).round().astype(np.uint8)))


def _core(subject: Subject, colours: NDArray[np.uint8]) -> Mask:
    """Return the pixels whose colours are kept: not the rim, and not the drawn line that goes around the subject.

    The rim's colour goes over the sides, where a line would be a broad stripe.
    """
    width = max(2, round(len(subject.mask) * _LINE))
    inner = ndimage.binary_erosion(subject.mask, iterations=2)
    dark = (colours.max(axis=-1) < _INK) | ~inner
    thick = ndimage.binary_opening(dark & inner, iterations=width)
    rim = ~ndimage.binary_erosion(subject.mask, iterations=2 * width)
    line = ndimage.binary_dilation(dark & ~thick & rim & subject.mask, iterations=2) & rim
    core: Mask = inner & ~line
    return core if core.any() else subject.mask


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()
