"""Why a matrix product stays digital, and what its user can change about it."""

from __future__ import annotations

import re

_INITIALIZER = "export it as an initializer: a weight, neither an input nor computed in the graph"
_SHAPES = "give the shapes of the inputs (--shape), or export with static shapes"

#: Shape of a reason that `photonpu.compiler.lowerings.lower` gives -> what to change.
REASONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), remedy)
    for pattern, remedy in (
        (
            r"its factors '.*' and '.*' are both computed at run time",
            "for two activations: --activation-products mesh; export a weight as an initializer",
        ),
        (
            r"it is kept digital by hand.*",
            "leave it out of keep_digital (--keep-digital), or name it in only (--only)",
        ),
        (r"its (weight|bias|scale|zero point) '.*' is computed at run time", _INITIALIZER),
        (r"its (weight|bias) '.*' is \w+ and the mesh takes float32", "export in float32"),
        (
            r"its weight '.*' has \d+ axes and those of its data '.*' are unknown or do not fit",
            _SHAPES,
        ),
        (r"its (scale|zero point) '.*' has \d+ axes", "quantise by tensor or by channel"),
        (r"the shape of its (scale|zero point) '.*' is unknown", _INITIALIZER),
        (r"the number of axes of its data '.*' is unknown", _SHAPES),
        (r"two of its axes are free", _SHAPES),
        (r"it reads the diagonal of its data '.*'", "read it by an Einsum of its own before it"),
        (
            r"it sums over no axis that its data share with its weight",
            "nothing: it scales or copies, and leaves a mesh nothing to sum",
        ),
        (
            r"its constants are smaller one by one than multiplied with one another",
            "write it as one Einsum a constant",
        ),
        (
            r"its (auto_pad|output_shape) depends on the shape of '.*', which is free",
            "give the shapes of the inputs (--shape), or export explicit pads",
        ),
        (r"operator set \d+ is older than \d+", "convert it with onnx.version_converter"),
    )
)

_FLOAT = "export the network before quantisation; the converters of the machine quantise it anyway"
_UNROLL = "export it unrolled, as MatMul and elementwise operators"

#: Operator that has no lowering and yet is, or may hold, a matrix product -> what to change.
OPERATORS: dict[str, str] = {
    **dict.fromkeys(
        (f"com.microsoft.{op}" for op in ("DynamicQuantizeLSTM", "MatMulNBits", "QAttention")),
        _FLOAT,
    ),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _UNROLL),
    **dict.fromkeys(
        (
            *(
                "Attention",
                "LinearAttention",
                "CausalConvWithState",
                "com.microsoft.Attention",
                "com.microsoft.MultiHeadAttention",
            ),
            "com.microsoft.GroupQueryAttention",
            *(f"com.microsoft.{op}" for op in ("FusedConv", "FusedGemm", "FusedMatMul")),
        ),
        "export it before fusion, as MatMul or Conv and what follows it",
    ),
    "DeformConv": "nothing: its windows are computed at run time",
    **dict.fromkeys(
        ("If", "Loop", "Scan"),
        "control flow runs digitally as a whole: export the branch or the unrolled loop",
    ),
}


def remedy(op: str, reason: str) -> str:
    """Return what to change so that a product can run on the mesh; ``""`` where none is known.

    Parameters
    ----------
    op
        Its operator.
    reason
        Why it stays digital, as `photonpu.compiler.lowerings.lower` puts it.
    """
    for pattern, text in REASONS:
        if pattern.fullmatch(reason):
            return text
    return OPERATORS.get(op, "")
