"""``photonpu ops``: what is supported, as the tables have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from photonpu.compiler.lowerings import CONTRACTIONS, LOWERINGS
from photonpu.compiler.operations import OPERATIONS
from photonpu.compiler.passes import REWRITES
from photonpu.compiler.passes.fused import FUSED

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


def test_every_operator_of_the_tables_is_listed(photonpu: CommandLine) -> None:
    listed = photonpu.json("ops")
    assert set(listed["on_mesh"]) == {*LOWERINGS, *CONTRACTIONS, *REWRITES, *FUSED}
    assert set(listed["digital"]) == set(OPERATIONS)


def test_operators_are_listed_with_what_they_become_and_cost(photonpu: CommandLine) -> None:
    lines = [line.split(maxsplit=1) for line in photonpu("ops").stdout.splitlines() if line]
    assert [
        "MatMul",
        "Compute `a @ b`, one a constant of any rank; a bias `c` was an Add behind it.",
    ] in lines
    assert "Einsum" in [words[0] for words in lines]
    assert ["Softmax", "5 operations for every output element."] in lines
    (other,) = (words[1].split() for words in lines if words[0] == "any")
    assert " ".join(other) == "other One operation for every output element."
