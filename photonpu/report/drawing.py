"""A mesh as a drawing: waveguides, interferometers and output phases, as SVG or PNG."""

from __future__ import annotations

import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from photonpu.errors import InputError
from photonpu.mesh import MESHES
from photonpu.storage import atomic_write

INK = "#1c2026"
SPARE = "#b9c0c9"
INTERFEROMETER = "#56a0ff"
THIRD = "#ff9628"
PHASE = "#40b070"
PAPER = "#ffffff"
_MOST_PORTS = 128


@dataclass(frozen=True, slots=True)
class Line:
    """A stroke from one point to another."""

    x: float
    y: float
    to_x: float
    to_y: float
    colour: str
    width: float = 1.5


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Text:
    """Words whose baseline begins at a point."""

    x: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on paper, in pixels; later ones cover earlier ones."""

    width: float
    height: float
    shapes: tuple[Line | Box | Text, ...]

    def svg(self) -> str:
        """Return the drawing as SVG."""
        size = f'width="{self.width:g}" height="{self.height:g}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            *(_svg(shape) for shape in self.shapes),
            "</svg>\n",
        ]
        return "\n".join(parts)

    def png(self) -> bytes:
        """Return the drawing as PNG."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (round(self.width), round(self.height)), PAPER)
        pen = ImageDraw.Draw(image)
        for shape in self.shapes:
            if isinstance(shape, Line):
                ends = (shape.x, shape.y, shape.to_x, shape.to_y)
                pen.line(ends, fill=shape.colour, width=max(1, round(shape.width)))
            elif isinstance(shape, Box):
                corners = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
                pen.rectangle(corners, fill=shape.colour)
            else:
                pen.text((shape.x, shape.y - 10), shape.words, fill=INK)
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the drawing, by the end of the file's name.

        Raises
        ------
        InputError
            If the name ends in neither ``.svg`` nor ``.png``.
        StorageError
            If the file cannot be written; what was there before is untouched.
        """
        kind = Path(path).suffix.lower()
        if kind not in (".svg", ".png"):
            raise InputError(f"drawing '{path}': end its name in .svg or .png")
        data = self.svg().encode() if kind == ".svg" else self.png()

        def write(file: BinaryIO) -> None:
            file.write(data)

        atomic_write(path, write)


def draw_mesh(topology: str, ports: int) -> Drawing:
    """Draw one mesh: light runs from left to right, port 0 at the top.

    Interferometers are blue boxes over their two waveguides, or blue strokes between two that are
    not neighbours; third splitters are orange, output phases green, and waveguides without
    signals grey.

    Parameters
    ----------
    topology
        A name in `photonpu.mesh.MESHES`.
    ports
        Waveguides with signals.

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If a mesh of so many ports does not exist, or is too large to be drawn.
    """
    if ports > _MOST_PORTS:
        raise InputError(f"ports={ports}: up to {_MOST_PORTS} can be drawn; set mesh.ports")
    mesh = MESHES[topology]
    layout = mesh.layout(ports)
    spare = layout.waveguides - ports
    reach = np.abs(layout.partner - layout.row)
    near = spare > 0 or bool((reach == 1).all())
    slots = np.array([1 if near else reach[layout.column == c].max() for c in range(layout.depth)])
    starts = np.concatenate([[0], np.cumsum(slots)])
    cell = float(np.clip(1600 // max(int(starts[-1]), layout.waveguides), 8, 30))
    left, top = 3.0 * cell, 2.0 * cell
    width = left + (starts[-1] + 3.0) * cell
    height = top + (layout.waveguides + 1.0) * cell

    def across(waveguide: int) -> float:
        place = waveguide if waveguide < ports else ports - 1 - waveguide
        return top + (place + spare) * cell

    right = left + (starts[-1] + 0.8) * cell
    shapes: list[Line | Box | Text] = [
        Line(left - cell, across(w), right, across(w), INK if w < ports else SPARE)
        for w in range(layout.waveguides)
    ]
    for k, (row, partner) in enumerate(zip(layout.row, layout.partner, strict=True)):
        column = layout.column[k]
        x = left + starts[column] * cell
        if near:
            shapes += _boxes(x, across(row), cell, mesh.third)
        else:
            x += (row % slots[column] + 0.5) * cell
            shapes += _stroke(x, across(row), across(partner), cell)
    shapes += [
        Box(right - 0.2 * cell, across(n) - 0.2 * cell, 0.4 * cell, 0.4 * cell, PHASE)
        for n in range(0 if mesh.real else ports)
    ]
    every = max(1, round(16.0 / cell))
    shapes += [Text(4.0, across(n) + 4.0, str(n)) for n in range(0, ports, every)]
    counts = mesh.counts(ports)
    shapes.append(
        Text(
            4.0,
            16.0,
            f"{topology}, {ports} ports: {counts.mzis} interferometers, {counts.depth} columns",
        )
    )
    return Drawing(max(width, 420.0), height, tuple(shapes))


def _boxes(x: float, y: float, cell: float, third: bool) -> list[Line | Box | Text]:
    """Draw an interferometer over two neighbouring waveguides, the upper one at `y`."""
    shapes: list[Line | Box | Text] = [
        Box(x + 0.2 * cell, y - 0.2 * cell, 0.6 * cell, 1.4 * cell, INTERFEROMETER)
    ]
    if third:
        shapes.append(Box(x + 0.04 * cell, y - 0.2 * cell, 0.12 * cell, 1.4 * cell, THIRD))
    return shapes


def _stroke(x: float, y: float, to_y: float, cell: float) -> list[Line | Box | Text]:
    """Draw an interferometer between two waveguides that are not neighbours."""
    dot = 0.4 * cell
    return [
        Line(x, y, x, to_y, INTERFEROMETER, 0.15 * cell),
        *(Box(x - dot / 2, end - dot / 2, dot, dot, INTERFEROMETER) for end in (y, to_y)),
    ]


def _svg(shape: Line | Box | Text) -> str:
    if isinstance(shape, Line):
        return (
            f'<line x1="{shape.x:g}" y1="{shape.y:g}" x2="{shape.to_x:g}" y2="{shape.to_y:g}" '
            f'stroke="{shape.colour}" stroke-width="{shape.width:g}"/>'
        )
    if isinstance(shape, Box):
        return (
            f'<rect x="{shape.x:g}" y="{shape.y:g}" width="{shape.width:g}" '
            f'height="{shape.height:g}" fill="{shape.colour}"/>'
        )
    return (
        f'<text x="{shape.x:g}" y="{shape.y:g}" font-family="sans-serif" font-size="11" '
        f'fill="{INK}">{html.escape(shape.words)}</text>'
    )
