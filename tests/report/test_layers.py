"""The picture of a trace: where its marks stand is what the numbers say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from photonpu.errors import InputError
from photonpu.report.drawing import Box, Text
from photonpu.report.layers import OWN, WHOLE, draw_layers
from photonpu.simulator.trace import LayerTrace

LAYERS = (
    LayerTrace("stem", "Conv", 0.01, 0.01, 0.0, 0.002, 0.5),
    LayerTrace("head", "Gemm", 0.1, 0.001, 0.004, 0.0, 1.0),
)


def boxes(layers: tuple[LayerTrace, ...], row: int, colour: str) -> list[Box]:
    """Return the boxes of one colour in a row, from left to right; those of keys stand above."""
    found = [s for s in draw_layers(layers).shapes if isinstance(s, Box) and s.colour == colour]
    inside = [s for s in found if 64 + 18 * row <= s.y < 64 + 18 * (row + 1)]
    return sorted(inside, key=lambda s: s.x)


def test_errors_stand_at_their_decades() -> None:
    one, ten, hundred = (
        boxes(LAYERS, 1, OWN)[0].x,  # 0.001
        boxes(LAYERS, 0, OWN)[0].x,  # 0.01
        boxes(LAYERS, 1, WHOLE)[0].x,  # 0.1
    )

    assert ten - one == pytest.approx(hundred - ten)
    assert ten > one


def test_bars_are_as_long_as_what_they_show() -> None:
    # 40 and 20 dB on a scale to 50; 0.2 and 0.4 % clipped on one to 0.5; half and all of 100 %.
    ratios = [boxes(LAYERS, row, WHOLE)[1].width for row in (0, 1)]
    sums, inputs = boxes(LAYERS, 0, WHOLE)[2], boxes(LAYERS, 1, OWN)[1]
    used = [boxes(LAYERS, row, OWN)[-1].width for row in (0, 1)]

    assert ratios == pytest.approx([0.8 * 210, 0.4 * 210])
    assert (sums.width, inputs.width) == pytest.approx((0.4 * 210, 0.8 * 210))
    assert used == pytest.approx([0.5 * 210, 210])


def test_layers_without_error_or_converters_have_no_bars() -> None:
    exact = LayerTrace("only", "Conv", 0.0, 0.0, None, None, None)

    drawn = draw_layers((exact,))

    assert math.isinf(exact.sqnr_db)
    assert [s.width for s in drawn.shapes if isinstance(s, Box)].count(6.0) == 2
    assert len(drawn.png()) > 100


def test_long_and_strange_names_are_cut_and_escaped() -> None:
    strange = replace(LAYERS[0], name="<script>" + "x" * 99)

    drawn = draw_layers((strange,))

    words = [s.words for s in drawn.shapes if isinstance(s, Text)]
    assert max(map(len, words)) == 34
    assert "<script>" not in drawn.svg()


def test_a_trace_of_nothing_is_not_drawn() -> None:
    with pytest.raises(InputError, match="a trace of 0 layers: 1 to 1000 can be drawn; run a net"):
        draw_layers(())
