"""Weights in other files: each must be a plain file below the model's folder, and long enough.

onnx's loader opens the files; this looks before, for it follows what the loader would follow.
"""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.compiler.untrusted.stored import size_in_bytes
from photonpu.compiler.untrusted.walk import quoted, tensors
from photonpu.errors import ModelError
from photonpu.tables import printable

if TYPE_CHECKING:
    import onnx

#: The keys that ONNX's specification has; others are dropped.
KEYS = ("location", "offset", "length", "checksum", "basepath")


def check_inside(proto: onnx.ModelProto, label: str) -> None:
    """Refuse a model whose weights are in another file: nobody may look for it just anywhere.

    Raises
    ------
    ModelError
        Names the first such tensor; `label` is what to call the model.
    """
    for name, tensor in tensors(proto):
        if tensor.data_location == 1:
            raise ModelError(
                f"{label} keeps {name} in another file: give the path of the .onnx file, with that "
                "file in the same folder"
            )


def load(proto: onnx.ModelProto, folder: Path, label: str) -> None:
    """Put the weights that are in other files into the model.

    Parameters
    ----------
    proto
        A model whose tensors `photonpu.compiler.untrusted.stored.check_stored` let pass.
    folder
        Where the model's file is.
    label
        What to call the model.

    Raises
    ------
    ModelError
        A file is outside of the folder, a link, no plain file, missing or too short, or the place
        of a tensor in it does not fit the tensor.
    """
    from onnx import external_data_helper
    from onnx.checker import ValidationError

    for name, tensor in tensors(proto):
        if tensor.data_location != 1:
            continue
        try:
            _check(tensor, folder)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about keys, which were checked
                external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (ValidationError, OSError, ValueError) as error:
            text = printable(next(iter(str(error).strip().splitlines()), type(error).__name__))
            raise ModelError(
                f"{label} keeps {name} in another file that cannot be read: {text.rstrip('.')}; "
                "keep that file whole, in the same folder"
            ) from error


def _check(tensor: onnx.TensorProto, folder: Path) -> None:
    """Raise `ValueError` unless a tensor's place in another file is one to be read."""
    place: dict[str, str] = {}
    for entry in tensor.external_data:
        if entry.key in KEYS and place.setdefault(entry.key, entry.value) != entry.value:
            raise ValueError(f"it has two values for '{entry.key}'")
    location = place.get("location", "")
    size = _size(location, folder)
    offset = _number("offset", place.get("offset", "0"))
    wanted = size_in_bytes(_product(tensor.dims), tensor.data_type)
    length = _number("length", place.get("length", str(wanted)))
    if length != wanted:
        raise ValueError(
            f"length {length} of {quoted(location)}, and its shape and type take {wanted} bytes"
        )
    if offset + length > size:
        raise ValueError(
            f"offset {offset} and length {length} reach beyond {quoted(location)} of {size} bytes"
        )
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _size(location: str, folder: Path) -> int:
    """Return the size of a plain file below `folder`."""
    if not location or "\0" in location:
        raise ValueError(f"{quoted(location)} is no name of a file")
    parts = location.split("/")
    if "\\" in location or os.path.isabs(location) or Path(location).drive or ".." in parts:
        raise ValueError(f"{quoted(location)} is outside the directory of the model")
    path = folder
    for part in parts:
        path = path / part
        try:
            found = path.lstat()
        except OSError as error:
            raise ValueError(f"{quoted(location)}: {error.strerror}") from error
        if stat.S_ISLNK(found.st_mode):
            raise ValueError(f"{quoted(location)} passes a symbolic link: copy the file itself")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{quoted(location)} is no plain file")
    if found.st_nlink > 1:
        raise ValueError(f"{quoted(location)} is a hard link to a file elsewhere: copy the file")
    return found.st_size


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{key} {quoted(text)} is no number of bytes")
    return int(text)


def _product(dims: object) -> int:
    product = 1
    for size in dims:  # type: ignore[attr-defined]
        product *= int(size)
    return product
