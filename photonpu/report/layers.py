"""A trace as a picture: errors, signal to noise, clipping and use of ranges, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from photonpu.errors import InputError
from photonpu.report.drawing import SPARE, Box, Drawing, Line, Text
from photonpu.simulator.trace import LayerTrace
from photonpu.tables import printable

Shape = Line | Box | Text

OWN = "#56a0ff"
WHOLE = "#ff9628"
FRAME = "#e3e6ea"

_ROW = 18.0
_TOP = 64.0
_NAMES = 34  # letters of a name that are shown
_LETTER = 6.0
_PANEL = 210.0
_GAP = 44.0
_MOST_LAYERS = 1000


def draw_layers(layers: Sequence[LayerTrace]) -> Drawing:
    """Draw what a trace found of layers, one row each.

    The first panel has errors on a logarithmic scale: blue what a layer does by itself, orange what
    its output has as the network runs. Then follow the ratio of signal and error in the running
    network, the shares of inputs (blue) and of partial sums (orange) that are clipped, and how much
    of the ADCs' ranges is used.

    Parameters
    ----------
    layers
        `photonpu.simulator.trace.Trace.layers`.

    Raises
    ------
    InputError
        There is no layer, or there are more than can be drawn.
    """
    if not 0 < len(layers) <= _MOST_LAYERS:
        raise InputError(
            f"a trace of {len(layers)} layers: 1 to {_MOST_LAYERS} can be drawn; run a network "
            "with layers on the mesh"
        )
    names = [_short(layer.name) for layer in layers]
    left = 24.0 + _LETTER * max(map(len, names))
    panels: tuple[Callable[[Sequence[LayerTrace], float], Iterable[Shape]], ...] = (
        _errors,
        _ratios,
        _clipped,
        _used,
    )
    width = left + len(panels) * (_PANEL + _GAP)
    shapes: list[Shape] = [
        Line(left, _TOP + i * _ROW, width - _GAP, _TOP + i * _ROW, FRAME, 1.0)
        for i in range(len(layers) + 1)
    ]
    for number, panel in enumerate(panels):
        shapes += panel(layers, left + number * (_PANEL + _GAP))
    shapes += [Text(8.0, _middle(row) + 4.0, name) for row, name in enumerate(names)]
    return Drawing(width, _TOP + len(layers) * _ROW + 30.0, tuple(shapes))


def _middle(row: int) -> float:
    return _TOP + (row + 0.5) * _ROW


def _short(name: str) -> str:
    """Return a name, which may come from a file of others, as far as there is room."""
    text = printable(name)
    return text if len(text) <= _NAMES else f"{text[: _NAMES - 3]}..."


def _errors(layers: Sequence[LayerTrace], left: float) -> Iterator[Shape]:
    """Show relative errors as points on decades."""
    known = [x for layer in layers for x in (layer.own, layer.error) if 0 < x < math.inf]
    low = math.floor(math.log10(min(known, default=0.1)))
    high = max(low + 1, math.ceil(math.log10(max(known, default=1.0))))
    yield from _title(left, "relative error", (("own", OWN), ("as it runs", WHOLE)))
    for power in range(low, high + 1):
        yield from _mark(left + (power - low) / (high - low) * _PANEL, f"1e{power:d}", len(layers))

    def place(value: float) -> float:
        part = (math.log10(value) - low) / (high - low) if value > 0 else 0.0
        return left + min(1.0, part) * _PANEL

    for row, layer in enumerate(layers):
        own, whole = place(layer.own), place(layer.error)
        yield Line(own, _middle(row), whole, _middle(row), SPARE, 1.0)
        yield Box(whole - 3.0, _middle(row) - 3.0, 6.0, 6.0, WHOLE)
        yield Box(own - 3.0, _middle(row) - 3.0, 6.0, 6.0, OWN)


def _ratios(layers: Sequence[LayerTrace], left: float) -> Iterator[Shape]:
    """Show the ratio of signal and error of the running network, dB."""
    values = [layer.sqnr_db for layer in layers]
    most = _round_up(max((x for x in values if math.isfinite(x)), default=0.0))
    yield from _title(left, "SQNR as it runs, dB", ())
    yield from _scale(left, most, len(layers), "{:g}")
    for row, value in enumerate(values):
        yield from _bar(left, row, value / most, WHOLE, 0.0, 1.0)


def _clipped(layers: Sequence[LayerTrace], left: float) -> Iterator[Shape]:
    """Show the shares of inputs and partial sums beyond their ranges, one bar above the other."""
    pairs = [(layer.input_clipped or 0.0, layer.adc_clipped or 0.0) for layer in layers]
    most = _round_up(100 * max(max(pair) for pair in pairs))
    yield from _title(left, "clipped, %", (("inputs", OWN), ("partial sums", WHOLE)))
    yield from _scale(left, most, len(layers), "{:g}")
    for row, (inputs, sums) in enumerate(pairs):
        yield from _bar(left, row, 100 * inputs / most, OWN, 0.0, 0.5)
        yield from _bar(left, row, 100 * sums / most, WHOLE, 0.5, 1.0)


def _used(layers: Sequence[LayerTrace], left: float) -> Iterator[Shape]:
    """Show the largest partial sum over its range, the mean over the tiles."""
    values = [100 * (layer.adc_use or 0.0) for layer in layers]
    most = max(100.0, _round_up(max(values)))
    yield from _title(left, "ADC range used, %", ())
    yield from _scale(left, most, len(layers), "{:g}")
    for row, value in enumerate(values):
        yield from _bar(left, row, value / most, OWN, 0.0, 1.0)


def _title(left: float, words: str, keys: Sequence[tuple[str, str]]) -> Iterator[Shape]:
    """Write what a panel shows, and what its colours mean."""
    yield Text(left, 20.0, words)
    x = left
    for key, colour in keys:
        yield Box(x, 30.0, 8.0, 8.0, colour)
        yield Text(x + 12.0, 38.0, key)
        x += 30.0 + _LETTER * len(key)


def _scale(left: float, most: float, rows: int, form: str) -> Iterator[Shape]:
    """Draw a scale from zero in two halves."""
    for part in (0.0, 0.5, 1.0):
        yield from _mark(left + part * _PANEL, form.format(part * most), rows)


def _mark(x: float, words: str, rows: int) -> Iterator[Shape]:
    """Draw a line of a scale through all rows, and its number below them."""
    bottom = _TOP + rows * _ROW
    yield Line(x, _TOP, x, bottom, FRAME, 1.0)
    yield Text(x - 3.0 * len(words), bottom + 16.0, words)


def _bar(
    left: float, row: int, share: float, colour: str, top: float, bottom: float
) -> Iterator[Shape]:
    """Draw a bar in a part of a row, from `top` to `bottom`; one without length is not drawn."""
    length = _PANEL * min(1.0, share)
    if length > 0:
        inside, begin = _ROW - 6.0, _TOP + row * _ROW + 3.0
        yield Box(left, begin + top * inside, length, (bottom - top) * inside, colour)


def _round_up(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten that reaches a value; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((s * power for s in (1.0, 2.0, 5.0) if s * power >= value), 10.0 * power)
