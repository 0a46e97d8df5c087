"""Arrays to a safetensors file one by one.

The package ``safetensors`` first builds the whole file in memory, or names the file it writes
itself; this writes the same bytes to a file that is open, and takes no memory for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

#: NumPy's types by the names that safetensors has for them, in the order that it writes them in.
TYPES = {
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "float32": "F32",
    "uint32": "U32",
    "int32": "I32",
    "float16": "F16",
    "uint16": "U16",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
_ALIGNMENT = 8  # bytes: what the header is filled up to


def write(file: BinaryIO, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays and texts as one safetensors file.

    Parameters
    ----------
    file
        Open for writing.
    arrays
        Of the types in `TYPES`.
    metadata
        Texts that the header holds.
    """
    kinds = list(TYPES)
    names = sorted(arrays, key=lambda name: (kinds.index(arrays[name].dtype.name), name))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        kind, offsets = TYPES[array.dtype.name], [begin, end]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in names:
        little = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        if little.size:
            file.write(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)
