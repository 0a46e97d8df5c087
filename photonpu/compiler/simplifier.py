"""Checked models with their shapes fixed and all that is constant folded."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from photonpu.compiler import axes, precision, versions, weights
from photonpu.compiler.reader import drop_constant_inputs
from photonpu.compiler.untrusted import checks, sizes
from photonpu.compiler.untrusted.limits import DEFAULT, Limits
from photonpu.compiler.weights import Parted
from photonpu.errors import ModelError, UnsupportedModelError

if TYPE_CHECKING:
    import onnx


def simplify(
    model: onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    *,
    limits: Limits = DEFAULT,
) -> Parted:
    """Fold constants and fuse with onnxruntime at its basic level, which keeps to standard ONNX.

    Parameters
    ----------
    model
        What `read` gave; left as it is.
    shapes
        For inputs with free axes, the shapes to fix: more can be folded then. Sizes in place of
        those that the model fixes are tried.
    limits
        How much a model may ask for with these shapes.

    Returns
    -------
    Parted
        The same function, products in float32, of an operator set that onnxruntime knows. Large
        weights of products, and all large ones of a large model, stand apart and are not folded.

    Raises
    ------
    ModelError
        A shape names no input, does not fit or makes tensors larger than allowed, or onnxruntime
        finds the model malformed.
    UnsupportedModelError
        onnxruntime does not implement one of the operators.
    """
    import onnx
    import onnxruntime

    parted = weights.part(model)
    fixed = axes.fix_shapes(parted.model, shapes or {})
    if shapes:
        sizes.check_sizes(fixed, limits)
    lighter = weights.part(fixed, weights.factors(fixed))
    held = MappingProxyType({**parted.apart, **lighter.apart})
    light, apart = precision.single(Parted(versions.fitted(lighter.model), held))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # onnxruntime would quantise float weights that stand behind a DequantizeLinear.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    with tempfile.TemporaryDirectory(prefix="photonpu-") as folder:
        path = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(
                light.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no other root
            raise _runtime_refusal(model, shapes or {}, error) from error
        simplified = onnx.load(path)
    drop_constant_inputs(simplified)
    return Parted(simplified, apart)


def _runtime_refusal(
    model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]], error: Exception
) -> ModelError:
    said = checks.first_line(error)
    said = said.split(" : ", 3)[-1] if " : " in said else said
    where = f"model '{model.graph.name}'"
    changed = axes.changes(model, shapes)
    if changed:
        return ModelError(
            f"{where} does not run with input {', '.join(changed.values())}: {said}; export it for "
            "these sizes, or with these axes free"
        )
    if type(error).__name__ == "NotImplemented" or "is not a registered" in said:
        return UnsupportedModelError(
            f"{where}: onnxruntime cannot run it: {said}; export the model in "
            "float32, with another operator set, or without that operator"
        )
    return ModelError(f"{where} is malformed: {said}; export it again")
