"""How a tensor turns into the vectors that stream through a mesh, and back.

Every operator that is a product with a constant matrix is brought to one form: an input of shape
``(batch, channels, *spatial)``, windows of it as vectors, matrices whose rows are output channels.
A transposed convolution of stride ``s`` is ``s`` interleaved convolutions an axis (sub-pixel
decomposition, Shi et al. 2016, arXiv:1609.07009): each stream names the offsets it fills.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Access = Literal["channels", "last", "second_last"]


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over the spatial axes; one entry of each tuple per axis.

    Attributes
    ----------
    kernel
        Taps along each axis; ``()`` when there are no spatial axes.
    strides, dilations
        Input elements between neighbouring windows, and between neighbouring taps.
    pads_begin, pads_end
        Zeros added before and after; negative numbers crop.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]

    def count(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return the number of windows along each axis of an input of size `spatial`."""
        return tuple(
            max(0, (size + before + after - dilation * (taps - 1) - 1) // stride + 1)
            for size, taps, stride, dilation, before, after in zip(
                spatial,
                self.kernel,
                self.strides,
                self.dilations,
                self.pads_begin,
                self.pads_end,
                strict=True,
            )
        )


@dataclass(frozen=True, slots=True)
class Stream:
    """One matrix, the windows that stream through it, and where its rows land.

    Rows are ordered ``(group, offset, channel of the group)`` and columns
    ``(group, tap, channel of the group)``, taps in C order.

    Attributes
    ----------
    window
        The windows; their number is the number of vectors.
    offsets
        For each block of output channels, the position on the sub-pixel grid that it fills; the
        single entry ``(0, ..., 0)`` for whatever is not a transposed convolution.
    """

    window: Window
    offsets: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shapes and places of one matrix product, everything but its numbers.

    Attributes
    ----------
    access
        How the tensor is seen as ``(batch, channels, *spatial)``: ``"channels"`` as it is,
        ``"last"`` ``(..., channels)`` with every leading axis a batch, ``"second_last"``
        ``(..., channels, length)``.
    groups
        Blocks of channels that do not mix.
    in_channels, out_channels
        Channels in and out, all groups together.
    streams
        The matrices; several only for a transposed convolution whose sub-pixels see
        different windows.
    upsample
        Sub-pixels an output axis has for each input element; ones but for a
        transposed convolution.
    extra
        Output size minus ``upsample * input size`` along each axis; used where `upsample`
        is set, and empty otherwise.
    """

    access: Access
    groups: int
    in_channels: int
    out_channels: int
    streams: tuple[Stream, ...]
    upsample: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()

    def output_size(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return the spatial size of the output for an input of size `spatial`."""
        if self.upsample:
            return tuple(
                max(0, factor * size + more)
                for factor, size, more in zip(self.upsample, spatial, self.extra, strict=True)
            )
        return self.streams[0].window.count(spatial)

    def matrix_shape(self, stream: Stream) -> tuple[int, int]:
        """Return (rows, columns) of the matrix of `stream`, all groups together."""
        taps = 1
        for size in stream.window.kernel:
            taps *= size
        return self.out_channels * len(stream.offsets), self.in_channels * taps
