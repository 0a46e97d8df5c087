"""ONNX files to checked models; nothing is trusted, each complaint says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.compiler import weights
from photonpu.compiler.untrusted import checks, external, precheck, schemas, sizes, stored, wire
from photonpu.compiler.untrusted.checked import Checked
from photonpu.compiler.untrusted.limits import DEFAULT, Limits
from photonpu.compiler.untrusted.walk import plain, quoted, scopes
from photonpu.errors import ModelError

if TYPE_CHECKING:
    import onnx


def read(
    model: str | Path | bytes | onnx.ModelProto | Checked, *, limits: Limits = DEFAULT
) -> onnx.ModelProto:
    """Read a model and check it; compiled code sees nothing of it before it is checked.

    Parameters
    ----------
    model
        A path, the bytes of a file, or a model in memory, which is left as it is. Weights in other
        files are read for a path only, and only from plain files in its folder or below. What was
        checked already is handed back.
    limits
        How much the model may ask for.

    Returns
    -------
    onnx.ModelProto
        The model, valid by onnx's checker, its weights inside, its functions inlined, its
        constants no longer among its inputs.

    Raises
    ------
    ModelError
        There is no such file, it is no ONNX model, it is malformed, it asks for more than
        `limits` allow, or a constant holds NaN.
    UnsupportedModelError
        An operator that neither the mesh nor onnxruntime knows, or a sparse initializer.
    """
    import onnx

    if isinstance(model, Checked):
        return model.proto
    if isinstance(model, onnx.ModelProto):
        label = f"model {quoted(model.graph.name)}"
        precheck.check_counts(model, limits)
        proto = weights.copied(model)
        checks.check_text(proto, label)
    elif isinstance(model, bytes):
        label = f"a model of {len(model)} bytes"
        proto = _parse(model, label, limits)
    else:
        label = f"'{model}'"
        proto = _parse(_file(Path(model), label, limits.file_bytes), label, limits)
    del proto.training_info[:]  # how it would be trained; nothing here reads it
    precheck.check_counts(proto, limits)
    stored.check_stored(proto, limits)
    if isinstance(model, str | Path):
        external.load(proto, Path(model).parent, label)
    else:
        external.check_inside(proto, label)
    checks.check_versions(proto, label)
    precheck.check_schemas(proto)
    checks.check_structure(proto, label)
    if proto.functions:
        _inline(proto, label)
        precheck.check_schemas(proto)  # again: a call may leave out what a node inside needs
    drop_blanks(proto)
    sizes.check_sizes(proto, limits)
    checks.check_numbers(proto)
    drop_constant_inputs(proto)
    return proto


def _inline(proto: onnx.ModelProto, label: str) -> None:
    """Write the model's functions out where they are called."""
    from onnx import inliner

    light, _ = weights.part(proto)
    try:
        inlined = inliner.inline_local_functions(light)
    except (RuntimeError, ValueError) as error:  # onnx's own, which have no other root
        raise ModelError(
            f"{label} calls functions that cannot be written out: {checks.first_line(error)}; "
            "export it without functions of its own"
        ) from error
    weights.replace_nodes(proto, inlined)


def _file(path: Path, label: str, largest_bytes: int) -> bytes:
    if not path.exists():
        raise ModelError(f"cannot read {label}: no such file; check the path")
    if not path.is_file():
        raise ModelError(f"cannot read {label}: it is not a file; name the .onnx file itself")
    try:
        with path.open("rb") as file:
            data = file.read(largest_bytes + 1) if path.stat().st_size <= largest_bytes else None
    except OSError as error:
        raise ModelError(f"cannot read {label}: {error.strerror}; check its rights") from error
    if data is None or len(data) > largest_bytes:
        raise ModelError(
            f"cannot read {label}: it has {path.stat().st_size} bytes and {largest_bytes} is the "
            "limit; save the weights as external data"
        )
    return data


def _parse(data: bytes, label: str, limits: Limits) -> onnx.ModelProto:
    import onnx
    from google.protobuf import message  # type: ignore[import-untyped]

    if not wire.has_graph(data):
        found = f"it begins with {data[:8].decode('latin-1')!r}" if data else "it is empty"
        raise ModelError(f"{label} is not an ONNX model: {found}; {_what_to_do(data)}")
    wire.check_wire(data, label, limits)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except message.DecodeError as error:
        raise ModelError(
            f"{label} is damaged: {checks.first_line(error)}; copy or export it again"
        ) from error
    return proto


#: How files begin that are taken for models, and what to do with them.
_MISTAKEN = (
    (b"version https://git-lfs", "it stands for a file of Git LFS: fetch that with git lfs pull"),
    (b"PK\x03\x04", "if it is a network of PyTorch or a zip file, export or unpack it first"),
    (b"\x93NUMPY", "it is an array of NumPy: name the network's own file"),
    (b"\x89HDF", "if it is a network of Keras, convert it, for example with tf2onnx"),
)


def _what_to_do(data: bytes) -> str:
    """Return what would do in place of a file that is no model."""
    for start, advice in _MISTAKEN:
        if data.startswith(start):
            return advice
    return "export one, for example with torch.onnx.export"


def limits_of(
    model: str | Path | bytes | onnx.ModelProto | Checked, limits: Limits | None
) -> Limits:
    """Return the limits that were given, else those that a model was checked by, else `DEFAULT`."""
    if limits is None and isinstance(model, Checked):
        return model.limits
    return limits or DEFAULT


def drop_blanks(proto: onnx.ModelProto) -> None:
    """Leave out optional inputs that a node names "" after the last one that it is given.

    Both mean that they are absent, and onnxruntime 1.31 crashes on some, as on the bias of a
    LayerNormalization and the axis of a DFT.
    """
    versions = {plain(entry.domain): entry.version for entry in proto.opset_import}
    for scope in scopes(proto):
        for node in scope.body.node:
            if not node.input or node.input[-1]:
                continue
            domain = plain(node.domain)
            formal = schemas.formal(node.op_type, versions.get(domain, 1), domain)
            fewest = formal.arity_in[0] if formal else len(node.input)
            while len(node.input) > fewest and not node.input[-1]:
                del node.input[-1]


def drop_constant_inputs(proto: onnx.ModelProto) -> None:
    """Take constants off the list of inputs, where old exporters also put them."""
    names = {tensor.name for tensor in proto.graph.initializer}
    kept = [value for value in proto.graph.input if value.name not in names]
    if len(kept) == len(proto.graph.input):
        return
    proto.ir_version = max(proto.ir_version, 4)  # older versions want the list complete
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
