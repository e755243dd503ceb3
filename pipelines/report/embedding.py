"""Pictures as the content of `<img src>`, in few bytes: a page of fifteen entries holds hundreds of them.

Pixels become WebP, which loses nothing and which every browser reads; line charts become SVG without what no browser
needs to draw them.
"""

from __future__ import annotations

import base64
import io
import re

from PIL import Image

UNNEEDED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
FONTS = re.compile(r" font-family: [^;\"]*;")
NAMES = re.compile(r'<g id="[^"]*"')  # of groups: nothing refers to them
TURNS = re.compile(r' transform="rotate\(-?0 [^)]*\)"')  # by no angle
DECIMALS = re.compile(r"(\d+\.\d\d)\d+")  # a hundredth of a point is less than anybody sees
RASTER = re.compile(r"data:image/png;base64,\s*([^\"]+)")
WRITTEN = re.compile(r"(?<![-\w])d=\"([^\"]*)\"")


def uri(kind: str, content: bytes) -> str:
    """Content of a media type as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def webp_uri(picture: Image.Image) -> str:
    """A picture of pixels, none of which is lost."""
    file = io.BytesIO()
    picture.convert("RGBA").save(file, "WEBP", lossless=True, quality=100, method=4, exact=True)
    return uri("image/webp", file.getvalue())


def compact(svg: str) -> str:
    """An SVG of matplotlib in a third of its size: it looks the same, but for the reader's own sans-serif letters."""
    svg = FONTS.sub("", UNNEEDED.sub("", svg))
    svg = RASTER.sub(lambda found: _smaller(found[1]), svg)
    svg = DECIMALS.sub(r"\1", NAMES.sub("<g", TURNS.sub("", svg)))
    svg = WRITTEN.sub(lambda found: f'd="{_path(found[1])}"', svg)
    svg = re.sub(r'style="([^"]*)"', lambda found: f'style="{found[1].replace("; ", ";").replace(": ", ":")}"', svg)
    svg = svg.replace("<defs>", "<style>text{font-family:system-ui,sans-serif}</style><defs>", 1)
    return re.sub(r">\s+<", "><", svg).strip()


def _path(text: str) -> str:
    """The commands of a path without the spaces that nobody needs."""
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", text).strip()


def _smaller(png: str) -> str:
    """A raster inside an SVG."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        return webp_uri(picture)
