"""The picture of the rooms, drawn from the imports of the code: `python -m docs.making.room_picture`.

A row is a layer of the contract in pyproject.toml, a box is a module or package of that layer, and a line says that
something in the upper box imports something in the lower one. Lines that follow from others are left out (transitive
reduction): where there is a way down by other boxes, there is no line of its own. It writes docs/rooms.svg, which a
test compares with the code.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "rooms.svg"
WIDTH, ROW, HEIGHT, GAP, MARGIN = 760, 60, 32, 14, 16
CHARACTER = 7.4  # width of a letter of 13 pixels
ABOUT = "Boxes in rows: each row imports only from the rows below it. models stands at the bottom, beside errors."
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; dominant-baseline: central }
rect { fill: #eef3fb; stroke: #41608f } path { fill: none; stroke: #5a6f8e }
"""


def layers() -> list[list[str]]:
    """The layers of pyproject.toml from the top, and `models` in the last of them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    found = [[name.strip() for name in row.split("|")] for row in rows]
    return [*found[:-1], [*found[-1], "models"]]


def imports(rows: list[list[str]]) -> set[tuple[str, str]]:
    """Pairs of boxes of which something in the first imports something in the second."""
    graph = grimp.build_graph("models", "pipelines", cache_dir=None)
    boxes = [box for row in rows for box in row]
    named = {module: box for module in graph.modules for box in boxes if _within(module, box)}
    pairs = {
        (named[module], named[other])
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
        if module in named and other in named
    }
    return {(upper, lower) for upper, lower in pairs if upper != lower}


def reduced(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The pairs of which the second cannot be reached from the first by way of others."""
    below: dict[str, set[str]] = {}
    for upper, lower in pairs:
        below.setdefault(upper, set()).add(lower)

    def reached(box: str) -> set[str]:
        direct = below.get(box, set())
        return direct.union(*map(reached, direct))

    return {(a, c) for a, c in pairs if not any(c in reached(b) for b in below[a])}


def svg() -> str:
    """The picture."""
    rows = layers()
    places = _places(rows)
    lines = [_line(places[upper], places[lower]) for upper, lower in sorted(reduced(imports(rows)))]
    boxes = [_box(name, *place) for name, place in places.items()]
    height = MARGIN * 2 + ROW * (len(rows) - 1) + HEIGHT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    ground = f'<path d="M0 0H{WIDTH}V{height}H0Z" style="fill:#fff;stroke:none"/>'
    return "\n".join([head, f"<title>{ABOUT}</title>", f"<style>{STYLE}</style>", ground, *lines, *boxes, "</svg>\n"])


def _within(module: str, box: str) -> bool:
    return module == box or module.startswith(f"{box}.")


def _label(name: str) -> str:
    return name.removeprefix("pipelines.")


def _places(rows: list[list[str]]) -> dict[str, tuple[float, float, float]]:
    """Left, top and width of each box."""
    places: dict[str, tuple[float, float, float]] = {}
    for number, row in enumerate(rows):
        widths = [len(_label(name)) * CHARACTER + 2 * GAP for name in row]
        free = WIDTH - 2 * MARGIN - sum(widths)
        space = free / (len(row) + 1)
        left = MARGIN + space
        for name, width in zip(row, widths, strict=True):
            places[name] = (left, float(MARGIN + number * ROW), width)
            left += width + space
    left, top, width = places["models"]
    places["models"] = (WIDTH - MARGIN - width, top, width)  # apart, so that no line to it passes behind another box
    return places


def _box(name: str, left: float, top: float, width: float) -> str:
    middle = f'x="{left + width / 2:.0f}" y="{top + HEIGHT / 2:.0f}"'
    rect = f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{HEIGHT}" rx="5"/>'
    return f"{rect}<text {middle}>{_label(name)}</text>"


def _line(upper: tuple[float, float, float], lower: tuple[float, float, float]) -> str:
    """A curve from the lower edge of a box to the upper edge of another one."""
    (x, y), (u, v) = ((left + width / 2, top) for left, top, width in (upper, lower))
    y += HEIGHT
    middle = (y + v) / 2
    return f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {middle:.0f} {u:.0f} {middle:.0f} {u:.0f} {v:.0f}"/>'


if __name__ == "__main__":
    PICTURE.write_text(svg())
