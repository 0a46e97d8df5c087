"""ONNX files to checked models; nothing is trusted, each complaint says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.compiler import checks
from photonpu.errors import ModelError

if TYPE_CHECKING:
    import onnx

#: Protocol buffers hold no more.
LARGEST_FILE_BYTES = 2**31


def read(
    model: str | Path | bytes | onnx.ModelProto, *, largest_bytes: int = LARGEST_FILE_BYTES
) -> onnx.ModelProto:
    """Read a model and check it.

    Parameters
    ----------
    model
        A path, the bytes of a file, or a model in memory, which is left as it is.
    largest_bytes
        Files above this size are refused.

    Returns
    -------
    onnx.ModelProto
        The model, valid by onnx's checker, its weights inside, its functions inlined, its
        constants no longer among its inputs.

    Raises
    ------
    ModelError
        There is no such file, it is no ONNX model, it is malformed, or a constant holds NaN.
    UnsupportedModelError
        An operator that neither the mesh nor onnxruntime knows, or a sparse initializer.
    """
    import onnx

    if isinstance(model, onnx.ModelProto):
        label = f"model '{model.graph.name}'"
        proto = onnx.ModelProto()
        proto.CopyFrom(model)
    elif isinstance(model, bytes):
        label = f"a model of {len(model)} bytes"
        proto = _parse(model, label)
    else:
        label = f"'{model}'"
        proto = _parse(_file(Path(model), label, largest_bytes), label)
        _load_external_data(proto, Path(model).parent, label)
    checks.check_text(proto, label)
    checks.check_complete(proto, label)
    checks.check_operators(proto)
    checks.check_structure(proto, label)
    if proto.functions:
        from onnx import inliner

        proto = inliner.inline_local_functions(proto)
    checks.check_dense(proto.graph)
    checks.check_numbers(proto.graph)
    drop_constant_inputs(proto)
    return proto


def _file(path: Path, label: str, largest_bytes: int) -> bytes:
    if not path.exists():
        raise ModelError(f"cannot read {label}: no such file; check the path")
    if not path.is_file():
        raise ModelError(f"cannot read {label}: it is not a file; name the .onnx file itself")
    size = path.stat().st_size
    if size > largest_bytes:
        raise ModelError(
            f"cannot read {label}: it has {size} bytes and {largest_bytes} is the limit; save the "
            "weights as external data"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {label}: {error.strerror}; check its rights") from error


def _parse(data: bytes, label: str) -> onnx.ModelProto:
    import onnx
    from google.protobuf import message  # type: ignore[import-untyped]

    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except message.DecodeError:
        proto.Clear()
    if not proto.HasField("graph"):
        start = repr(data[:8].decode("latin-1")) if data else "nothing: it is empty"
        raise ModelError(
            f"{label} is not an ONNX model: it begins with {start}; export one, for example with "
            "torch.onnx.export"
        )
    return proto


def _load_external_data(proto: onnx.ModelProto, folder: Path, label: str) -> None:
    from onnx import external_data_helper
    from onnx.checker import ValidationError

    try:
        external_data_helper.load_external_data_for_model(proto, str(folder))
    except (ValidationError, OSError, ValueError) as error:
        raise ModelError(
            f"{label} keeps weights in another file that cannot be read: "
            f"{checks.first_line(error)}; keep that file whole, in the same folder"
        ) from error


def drop_constant_inputs(proto: onnx.ModelProto) -> None:
    """Take constants off the list of inputs, where old exporters also put them."""
    names = {tensor.name for tensor in proto.graph.initializer}
    kept = [value for value in proto.graph.input if value.name not in names]
    if len(kept) == len(proto.graph.input):
        return
    proto.ir_version = max(proto.ir_version, 4)  # older versions want the list complete
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
