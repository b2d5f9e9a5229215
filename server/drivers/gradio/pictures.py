"""Files of images: what kind each is by its first bytes, and the same image in another kind."""

import asyncio
import io
from typing import Final

from PIL import Image as Pillow

from server import media
from server.drivers.gradio.failure import broken
from server.errors import AttemptFailed

_MOST_PIXELS: Final = 2**25  # of an image that is converted: 128 MiB in memory, a side of 5800
_FORMATS: Final = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF"}
# What each is made of as it is; the rest becomes red, green and blue.
_ANY: Final = ("1", "L", "P", "RGB", "RGBA")
_MODES: Final = {"png": (*_ANY, "LA"), "jpeg": ("L", "RGB"), "webp": ("RGB", "RGBA"), "gif": _ANY}
_OPENED: Final = tuple(_FORMATS.values())  # no other decoder is let near what strangers send


def kind(data: bytes) -> str:
    """The kind of an image, whatever its server says that it is. Raises `AttemptFailed` for any other."""
    if (found := media.kind(data)) is not None:
        return found
    raise broken(f"gave a file that is none of {', '.join(_FORMATS)}")


def check(wanted: str) -> None:
    """Raises `AttemptFailed` for a kind that no image is made into."""
    if wanted and wanted not in _FORMATS:
        told = f"images are given as {', '.join(_FORMATS)}"
        raise AttemptFailed("parameter_unsupported", told, param="output_format", blame=False)


async def converted(data: bytes, wanted: str) -> tuple[bytes, str]:
    """An image in the kind that is wanted, or as it is where none is, and its kind.

    Raises `AttemptFailed` for what cannot be read, and for what would fill the memory.
    """
    found = kind(data)
    if not wanted or wanted == found:
        return data, found
    return await asyncio.to_thread(_converted, data, wanted), wanted


def _converted(data: bytes, wanted: str) -> bytes:
    try:
        with Pillow.open(io.BytesIO(data), formats=_OPENED) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise broken(f"gave an image of more than {_MOST_PIXELS} pixels")
            out = io.BytesIO()
            drawn = image if image.mode in _MODES[wanted] else image.convert("RGB")
            drawn.save(out, format=_FORMATS[wanted])
    except AttemptFailed:
        raise
    except Exception:
        # Whatever a decoder of a file that strangers made may raise.
        raise broken("gave an image that cannot be read") from None
    return out.getvalue()
