"""Plain text for people: aligned tables, and quantities with the prefix of their magnitude."""

from __future__ import annotations

import math
from collections.abc import Sequence

_PREFIXES = {
    -18: "a",
    -15: "f",
    -12: "p",
    -9: "n",
    -6: "µ",
    -3: "m",
    0: "",
    3: "k",
    6: "M",
    9: "G",
    12: "T",
    15: "P",
}


def engineering(value: float, unit: str = "") -> str:
    """Return `value` with three significant digits and the SI prefix of its magnitude.

    Parameters
    ----------
    value
        A quantity in `unit`.
    unit
        Symbol of a unit without a prefix, such as ``"s"``, ``"J"`` or ``"W"``.

    Examples
    --------
    >>> engineering(1.2e-3, "s")
    '1.20 ms'
    >>> engineering(999.96e-6, "J")
    '1.00 mJ'
    """
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g} {unit}".rstrip()
    mantissa, _, power = f"{value:.2e}".partition("e")
    exponent = int(power)
    prefix = min(max(exponent - exponent % 3, min(_PREFIXES)), max(_PREFIXES))
    digits = max(0, 2 - (exponent - prefix))
    shown = float(f"{mantissa}e{exponent - prefix}")
    return f"{shown:.{digits}f} {_PREFIXES[prefix]}{unit}".rstrip()


def printable(text: str) -> str:
    r"""Return `text` with what a terminal would not print as one character shown escaped.

    Names inside a model file are untrusted: without this they could move the cursor.

    Examples
    --------
    >>> printable("\x1b[2Jgone")
    '\\x1b[2Jgone'
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]], align: str = "") -> str:
    """Return `rows` under `header` as aligned text, without a newline at the end.

    Cells are turned to text by `str` and made `printable`.

    Parameters
    ----------
    header
        One title a column.
    rows
        As many cells in each row as there are titles.
    align
        ``"l"`` or ``"r"`` for each column; the default is left for the first, right for the rest.

    Raises
    ------
    ValueError
        A row, or `align`, has another number of columns than `header`.

    Examples
    --------
    >>> print(text_table(["layer", "energy"], [["stem", "1.20 mJ"], ["head", "30.0 µJ"]]))
    layer   energy
    -----  -------
    stem   1.20 mJ
    head   30.0 µJ
    """
    align = align or "l" + "r" * (len(header) - 1)
    cells = [[printable(str(cell)) for cell in row] for row in (header, *rows)]
    for row in (align, *cells):
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} columns in a table of {len(header)}")
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths, align) for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], align: str) -> str:
    padded = (
        cell.rjust(width) if side == "r" else cell.ljust(width)
        for cell, width, side in zip(row, widths, align, strict=True)
    )
    return "  ".join(padded).rstrip()
