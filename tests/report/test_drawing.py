"""Drawings of meshes: one shape for each part, inside the paper."""

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photonpu.errors import InputError
from photonpu.mesh import MESHES
from photonpu.report.drawing import INTERFEROMETER, PHASE, THIRD, Box, Line, Text, draw_mesh

every_mesh = pytest.mark.parametrize("topology", list(MESHES))


@every_mesh
@pytest.mark.parametrize("ports", [2, 8, 64])
def test_every_part_is_drawn_once_and_on_the_paper(topology: str, ports: int) -> None:
    drawing = draw_mesh(topology, ports)
    layout = MESHES[topology].layout(ports)
    boxes = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    strokes = [s for s in drawing.shapes if isinstance(s, Line) and s.colour == INTERFEROMETER]
    squares = sum(box.colour == INTERFEROMETER for box in boxes)
    assert squares == layout.mzis + len(strokes)
    assert sum(box.colour == THIRD for box in boxes) == layout.mzis * MESHES[topology].third
    assert sum(box.colour == PHASE for box in boxes) == (0 if MESHES[topology].real else ports)
    for box in boxes:
        assert 0 <= box.x <= box.x + box.width <= drawing.width
        assert 0 <= box.y <= box.y + box.height <= drawing.height


@every_mesh
def test_no_two_interferometers_are_drawn_over_each_other(topology: str) -> None:
    boxes = [b for b in draw_mesh(topology, 16).shapes if isinstance(b, Box)]
    blue = [box for box in boxes if box.colour == INTERFEROMETER]
    for i, a in enumerate(blue):
        for b in blue[:i]:
            apart = abs(a.x - b.x) >= 0.99 * min(a.width, b.width)
            assert apart or abs(a.y - b.y) >= 0.99 * min(a.height, b.height)


def test_the_svg_is_xml_and_names_the_mesh() -> None:
    drawing = draw_mesh("reck", 5)
    root = ET.fromstring(drawing.svg())
    texts = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert "reck, 5 ports: 10 interferometers, 7 columns" in texts
    assert len(list(root)) == len(drawing.shapes) + 1
    assert sum(isinstance(shape, Text) for shape in drawing.shapes) == len(texts)


def test_the_png_shows_the_same_colours_at_the_same_places(tmp_path: Path) -> None:
    drawing = draw_mesh("clements", 4)
    drawing.save(tmp_path / "mesh.png")
    image = Image.open(io.BytesIO((tmp_path / "mesh.png").read_bytes())).convert("RGB")
    assert image.size == (round(drawing.width), round(drawing.height))
    box = next(shape for shape in drawing.shapes if isinstance(shape, Box))
    middle = (round(box.x + box.width / 2), round(box.y + box.height / 2))
    red, green, blue = np.asarray(image)[middle[1], middle[0]]
    assert f"#{red:02x}{green:02x}{blue:02x}" == box.colour


def test_a_drawing_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mesh.pdf': end its name in .svg or .png"):
        draw_mesh("reck", 4).save(tmp_path / "mesh.pdf")


def test_a_mesh_too_large_for_paper_is_refused() -> None:
    with pytest.raises(InputError, match="ports=129: up to 128 can be drawn; set mesh.ports"):
        draw_mesh("reck", 129)
