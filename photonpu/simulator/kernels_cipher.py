"""Rounds of the Advanced Encryption Standard (FIPS 197), by the processor's own instructions.

Processors without them look the same numbers up in a table.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from photonpu.keyed import SUBSTITUTES
from photonpu.simd import LONGS

_WORD = ir.IntType(32)
_BLOCK = 4  # words of a block
_WORDS = 2 * LONGS.lanes


def make_round(last: bool, plain: bool = False) -> Any:
    """Return a compiled function that does one round of four blocks.

    Parameters
    ----------
    last
        Whether it is the last one, which does not mix columns.
    plain
        Whether to use the table even where the processor has instructions.

    Returns
    -------
    function
        ``cipher_round(blocks, key)`` of two vectors of 64-bit lanes, a block in two of them.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def cipher_round(typing: Any, blocks: Any, key: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            triple, name, features = context.codegen().magic_tuple()
            has = [name, *features.split(",")]
            return emit_round(builder, args, last, "" if plain else triple, has)

        return LONGS(LONGS, LONGS), lower

    return cipher_round


def emit_round(builder: Any, args: Any, last: bool, triple: str, has: list[str]) -> Any:
    """Write a round for a processor: LLVM's name of its kind, its own name and what it has."""
    kind = triple.split("-")[0]
    arm = kind in ("aarch64", "arm64")
    if kind == "x86_64" and "+vaes" in has:
        return _on_parts(builder, args, 4, f"llvm.x86.aesni.aesenc{'last' * last}.256")
    if kind == "x86_64" and "+aes" in has:
        return _on_parts(builder, args, 2, f"llvm.x86.aesni.aesenc{'last' * last}")
    if arm and ("+aes" in has or has[0].startswith("apple-")):  # of Apple's LLVM tells names only
        nothing = ir.Constant(LONGS.llvm, [0] * LONGS.lanes)
        # the first of these adds the key before it substitutes, and so adds none
        changed = _on_parts(builder, [args[0], nothing], 2, "llvm.aarch64.crypto.aese", True)
        if not last:
            changed = _on_parts(builder, [changed], 2, "llvm.aarch64.crypto.aesmc", True)
        return builder.xor(changed, args[1])
    return _by_table(builder, args, last)


def _on_parts(builder: Any, args: Any, lanes: int, name: str, of_bytes: bool = False) -> Any:
    """Write calls of an instruction that works on as many 64-bit lanes."""
    nothing = ir.Constant(LONGS.llvm, ir.Undefined)
    longs = ir.VectorType(ir.IntType(64), lanes)
    part = ir.VectorType(ir.IntType(8), 8 * lanes) if of_bytes else longs
    kinds = ir.FunctionType(part, [part] * len(args))
    call = cgutils.get_or_insert_function(builder.module, kinds, name)
    parts = []
    for first in range(0, LONGS.lanes, lanes):
        which = ir.Constant(ir.VectorType(_WORD, lanes), list(range(first, first + lanes)))
        given = [builder.shuffle_vector(value, nothing, which) for value in args]
        done = builder.call(call, [builder.bitcast(value, part) for value in given])
        parts.append(builder.bitcast(done, longs))
    while len(parts) > 1:
        lanes *= 2
        both = ir.Constant(ir.VectorType(_WORD, lanes), list(range(lanes)))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [builder.shuffle_vector(one, other, both) for one, other in pairs]
    return parts[0]


def _by_table(builder: Any, args: Any, last: bool) -> Any:
    """Write a round by what mixing makes of each byte: (2, 1, 1, 3) times its substitute."""
    entries = []
    for s in (int(number) for number in SUBSTITUTES):
        double = s << 1 ^ (0x11B if s & 0x80 else 0)
        entries.append(double | s << 8 | s << 16 | (double ^ s) << 24)
    table = ir.Constant(ir.ArrayType(_WORD, 256), entries)
    start = cgutils.global_constant(builder.module, "photonpu.substitutes", table)
    words = builder.bitcast(args[0], ir.VectorType(_WORD, _WORDS))
    columns = [builder.extract_element(words, ir.Constant(_WORD, i)) for i in range(_WORDS)]

    def number(value: int) -> Any:
        return ir.Constant(_WORD, value)

    def found(word: Any, byte: int) -> Any:
        place = builder.and_(builder.lshr(word, number(8 * byte)), number(0xFF))
        entry = builder.load(builder.gep(start, [number(0), place]), typ=_WORD)
        if last:
            entry = builder.and_(builder.lshr(entry, number(8)), number(0xFF))
        below = number(8 * (4 - byte) % 32)
        return builder.or_(builder.shl(entry, number(8 * byte)), builder.lshr(entry, below))

    made = ir.Constant(ir.VectorType(_WORD, _WORDS), ir.Undefined)
    for i in range(_WORDS):
        block, column = i // _BLOCK * _BLOCK, i % _BLOCK
        mixed = found(columns[i], 0)
        for byte in range(1, _BLOCK):  # rows shift before columns mix
            mixed = builder.xor(mixed, found(columns[block + (column + byte) % _BLOCK], byte))
        made = builder.insert_element(made, mixed, number(i))
    return builder.xor(builder.bitcast(made, LONGS.llvm), args[1])


cipher_round = make_round(last=False)
last_round = make_round(last=True)
