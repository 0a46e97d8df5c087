"""What the compiled kernels of `photonpu.simulator.kernels` compute, written literally.

Each function here defines the kernel of the same name and signature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu import keyed

Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Words = NDArray[np.uint32]


def sample_normals(
    key: Words, tile: int, first: int, count: int, registers: int, coarse: bool
) -> Singles:
    """Draw the normal number of each ADC sample of one tile.

    Words of 32 bits by `photonpu.keyed.ars` become pairs of numbers by Box and Muller (1958): one
    word is a point's distance, ``sqrt(-2 ln u)`` of its upper 31 bits, one its direction.

    Parameters
    ----------
    key
        (4,) words, of seed and chip.
    tile
        Number of the tile.
    first, count
        Number of the first vector in its layer, counted over all samples of a run, and how many.
    registers
        Outputs of the tile are ``16 * registers``.
    coarse
        Whether one word is both, the upper half the distance and the lower one the direction, by
        five rounds of ARS in place of seven (the fewest that pass BigCrush: Salmon et al. 2011,
        table 2). It makes 2^32 points, the largest 4.9 standard deviations out; else 2^64, 6.7.

    Returns
    -------
    ndarray
        (count, 16 * registers), the same whatever the batch, the order or the threads. Vectors are
        drawn by fours, the first two and the last two from a point each: of output ``j`` the
        distance is word ``j`` of blocks 0 and 8, and so on, numbered from
        ``(v // 4 low, v // 4 high, tile, 16 * (j // 16))`` on, the direction of blocks 4 and 12;
        coarsely both are of blocks 0 and 4.
    """
    vector = first + np.arange(count, dtype=np.int64)
    words = _blocks(key, tile, vector // 4, registers, rounds=5 if coarse else 7)
    distance, angle = words[:, :, 0::2], words[:, :, 1::2]
    if coarse:
        low, half = np.uint32(0xFFFF), np.uint32(0x8000)
        distance, angle = words[:, :, :2] & ~low | half, words[:, :, :2] << np.uint32(16) | half
    radius = np.sqrt(-2.0 * np.log(((distance >> 1) + 0.5) / 2.0**31))
    eighth = ((angle << 2).astype(np.int32) / 4 + 0.5) / 2.0**29 * (np.pi / 4)
    cos, sin = np.cos(eighth) * np.where(angle >> 31, -1, 1), np.sin(eighth)
    swapped = (angle >> 30 & 1).astype(bool)
    pairs = np.stack([np.where(swapped, sin, cos), np.where(swapped, cos, sin)], axis=3)
    drawn = (radius[:, :, :, None] * pairs).reshape(count, registers, 4, 16)
    each = drawn[np.arange(count), :, vector % 4]
    return np.asarray(each.reshape(count, 16 * registers), np.float32)


def _blocks(key: Words, tile: int, group: Longs, registers: int, rounds: int) -> Words:
    """Return the words of each group's blocks: (groups, registers, 4 rows, 16 words)."""
    counter = np.empty((len(group), 16 * registers, 4), np.uint32)
    counter[..., 0] = (group & 0xFFFFFFFF)[:, None]
    counter[..., 1] = (group >> 32)[:, None]
    counter[..., 2] = tile
    counter[..., 3] = np.arange(16 * registers)
    drawn = keyed.ars(counter.reshape(-1, 4), key, rounds=rounds)
    return drawn.reshape(len(group), registers, 4, 16)


def sample_dithers(key: Words, tile: int, first: int, count: int, registers: int) -> Singles:
    """Draw what is added to each ADC sample of one tile before it is rounded by chance, in steps.

    Parameters
    ----------
    key, tile, first, count, registers
        As for `sample_normals`.

    Returns
    -------
    ndarray
        (count, 16 * registers) numbers, uniform from -1/2 to 1/2: the words of the blocks of
        `sample_normals` with a tile whose highest bit is set, after five rounds, as numbers with a
        sign. Vector ``v`` has block ``4 * (v % 4)`` and the three behind it.
    """
    vector = first + np.arange(count, dtype=np.int64)
    words = _blocks(key, int(tile) | 1 << 31, vector // 4, registers, rounds=5)
    each = words[np.arange(count), :, vector % 4].astype(np.int32)
    return np.asarray(each.reshape(count, 16 * registers) / 2.0**32, np.float32)


def powers(field: Singles, base: Ints, offset: Ints, spans: Longs, power: Singles) -> None:
    """Find the squared length of parts of vectors: the light that goes into tiles.

    Parameters
    ----------
    field, base, offset
        As for `stream`.
    spans
        (s, 2) first element of each part, and last + 1.
    power
        (s, n), filled.
    """
    for number, (low, high) in enumerate(spans):
        power[number] = (field[base[:, None] + offset[low:high]] ** 2).sum(axis=1)


def stream(
    field: Singles,
    base: Ints,
    offset: Ints,
    panels: tuple[Singles, Longs, Longs, Singles],
    place: Longs,
    row: Longs,
    bias: Singles,
    lead: int,
    draw: int,
    power: Singles,
    receiver: tuple[float, float, bool],
    sampling: int,
    key: Words,
    coder: tuple[float, float, bool],
    out: Singles,
) -> tuple[float, float]:
    """Stream vectors through the tiles of one matrix; detect, digitise and add up what comes out.

    Each output ``y`` of each tile gets noise of variance ``floor + slope * y^2 + share * |x|^2``
    (shot noise follows the total detected power, that of the phases the light that is in the
    tile) and the detector's offset, and is rounded to the ADC's levels within its full scale; the
    sum over the tiles of a row is digital. All Gaussian sources share one draw.

    Parameters
    ----------
    field
        The elements of the vectors, in units of one port's full-scale field.
    base
        (n,) where each vector begins in the field. The first `lead` of them and those after the
        last place are computed for nothing: n is a multiple of four.
    offset
        (K,) from there to each of its elements.
    panels
        Weights, panels, groups and lanes of `photonpu.simulator.panels.Panels`.
    place
        (p,) where the results of each vector begin in `out`.
    row
        (M,) from there to each row of the matrix.
    bias
        (M,) added to each row.
    lead
        Which vector has the first place.
    draw
        Number of the first four vectors, which keys their noise.
    power
        (spans, n) squared length of what of each vector goes into tiles, as `powers` gives it;
        (spans, 0) where no noise follows it.
    receiver
        ADC levels on each side of zero, 0 for no ADC; noise variance for each unit of squared
        output; whether the ADC rounds by chance, up as often as the code's fraction says.
    sampling
        How noise is drawn: 0 not at all, 1 for each sample, 2 for each sample coarsely, 3 once for
        each output, of the variance of all its samples together.
    key
        (4,) words, of seed and chip.
    coder
        Full scale and levels of the converter that codes the outputs, as for `quantise`, and
        whether negative ones count as zeros; a full scale of 0 leaves all as they are.
    out
        Filled at the places.

    Returns
    -------
    magnitude, greatest
        The largest magnitude of the outputs before they are coded, NaN or infinity where any is
        one of them; and the greatest of them, at least 0.
    """
    levels, slope, dithered = np.float32(receiver[0]), np.float32(receiver[1]), receiver[2]
    weights, panel, group, lanes = panels
    magnitude = greatest = 0.0
    for first_panel, last_panel, first_row, last_row in group:
        total = np.zeros((len(base), -(-(last_row - first_row) // 16) * 16), np.float32)
        variance = np.zeros_like(total)
        for low, high, begin, lane, first, registers, tile, register, span in panel[
            first_panel:last_panel
        ]:
            outputs = 16 * registers
            vectors = field[base[:, None] + offset[low:high]]
            packed = weights[begin : begin + (high - low) * outputs]
            matrix = packed.reshape(registers, high - low, 16).transpose(1, 0, 2)
            value = vectors @ matrix.reshape(high - low, outputs)
            scale = lanes[lane : lane + 5 * outputs].reshape(registers, 5, 16).transpose(1, 0, 2)
            steps, units, shift, floor, share = scale.reshape(5, outputs)
            noise = np.broadcast_to(floor, value.shape)
            if power.shape[1]:
                noise = noise + share * power[span][:, None]
            inside = slice(16 * first, 16 * first + outputs)
            noise = noise + slope * value * value
            variance[:, inside] += noise * (units * steps) ** 2
            if sampling in (1, 2):
                drawn = sample_normals(
                    key, tile, 4 * draw, len(base), register + registers, sampling == 2
                )
                value = value + np.sqrt(noise) * drawn[:, 16 * register :]
            value = value * steps + shift
            if levels > 0.0:
                if dithered:
                    number = len(base), register + registers
                    value = value + sample_dithers(key, tile, 4 * draw, *number)[:, 16 * register :]
                value = np.clip(np.rint(value), -levels, levels)
            total[:, inside] += value * units
        if sampling == 3:
            *_, first, _, tile, register, _ = panel[first_panel]
            registers = register - first + total.shape[1] // 16
            drawn = sample_normals(key, tile, 4 * draw, len(base), registers, False)
            total += np.sqrt(variance) * drawn[:, -total.shape[1] :]
        whole = total[lead : lead + len(place), : last_row - first_row] + bias[first_row:last_row]
        magnitude = float(np.maximum(magnitude, peak(whole)))
        greatest = max(greatest, float(whole.max(initial=0.0)))
        if coder[0]:
            whole = quantise(np.maximum(whole, 0.0) if coder[2] else whole, *coder[:2])
        out[place[:, None] + row[first_row:last_row]] = whole
    return magnitude, greatest


def lay_out(
    tensor: Singles,
    source: Longs,
    margin: int,
    full_scale: float,
    levels: float,
    rectified: bool,
    first: int,
    field: Singles,
) -> float:
    """Quantise a tensor, put zeros around it, and its channels last.

    Parameters
    ----------
    tensor
        (batch, channels, lines, length).
    source
        (rows,) the line that goes to each row; -1 for zeros.
    margin
        Zeros before the first element of a line; if negative, how many are cropped.
    full_scale, levels
        As for `quantise`.
    rectified
        Whether negative numbers count as zeros.
    first
        To which channel of the field its first goes; others stay as they are.
    field
        (batch, rows, width, channels of all), filled.

    Returns
    -------
    float
        The largest magnitude of what is laid out, before it is rectified; NaN or infinity where
        any is one of them.
    """
    field = field[..., first : first + tensor.shape[1]]
    field[...] = 0.0
    before, skipped = max(0, margin), max(0, -margin)
    kept = max(0, min(tensor.shape[3] - skipped, field.shape[2] - before))
    largest = 0.0
    for row, line in enumerate(source):
        if line >= 0:
            part = tensor[:, :, line, skipped : skipped + kept].transpose(0, 2, 1)
            largest = float(np.maximum(largest, peak(part)))
            part = np.maximum(part, 0.0) if rectified else part
            field[:, row, before : before + kept] = quantise(part, full_scale, levels)
    return largest


def quantise(values: Singles, full_scale: float, levels: float) -> Singles:
    """Divide by `full_scale`, clip to [-1, 1] and round to `levels` levels on each side.

    Parameters
    ----------
    values
        Any shape.
    full_scale
        Largest value that is represented.
    levels
        Levels on each side of zero; 0 for no converter: divided only, neither clipped nor rounded.

    Returns
    -------
    ndarray
        Same shape, in units of `full_scale`.
    """
    relative: Singles = values * np.float32(1.0 / full_scale)
    if levels == 0.0:
        return relative
    code = np.rint(np.clip(relative, -1.0, 1.0) * np.float32(levels))
    return np.asarray(code * np.float32(1.0 / levels), np.float32)


def peak(values: Singles) -> float:
    """Return the largest magnitude.

    Parameters
    ----------
    values
        Any shape.

    Returns
    -------
    float
        0 for no values; NaN or infinity where any value is one of them.
    """
    return float(np.abs(values).max(initial=0.0))
