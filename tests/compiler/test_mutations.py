"""Damaged models: whatever a file holds, the compiler ends in a program or in an error of ours.

A model that is found wanting is printed with its number:
``python -m tests.campaign --save NUMBER > model.onnx`` writes it.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import onnx
import pytest

from tests.campaign import Campaign, run
from tests.mutations import mutate
from tests.seeds import load, write

QUICK, QUICK_CHUNK = 5_000, 500
ALL, CHUNK = 200_000, 2_000
#: Models that once found something, by what it was; they run although they lie beyond `QUICK`.
FOUND = {
    62_888: "drew 64 million random numbers for a convolution of other channels",
    158_504: "drew 200 million random numbers for one input, then refused another",
}


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of sound models, written once for all processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "seeds"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first process writes, the others wait for it
        if not folder.is_dir():
            write(tmp_path_factory.mktemp("made")).rename(folder)
    return folder


def told(campaign: Campaign) -> str:
    return "".join(f"\nmodel {found.number}: {found.what}" for found in campaign.findings)


@pytest.mark.parametrize("first", range(0, QUICK, QUICK_CHUNK))
def test_damaged_models_end_in_a_program_or_an_error_that_names_its_place(
    seeds: Path, first: int
) -> None:
    campaign = run(seeds, first, first + QUICK_CHUNK)
    assert sum(campaign.ends.values()) == QUICK_CHUNK
    assert not campaign.findings, told(campaign)
    assert campaign.ends["lowered"] > 0  # some must get far, or this says little
    assert campaign.ends["ModelError"] > 0


def test_damaged_models_that_once_found_something_find_nothing(seeds: Path) -> None:
    for number, once in FOUND.items():
        campaign = run(seeds, number, number + 1)
        assert not campaign.findings, f"{once}: {told(campaign)}"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, ALL, CHUNK))
def test_many_damaged_models_end_in_a_program_or_an_error_that_names_its_place(
    seeds: Path, first: int
) -> None:
    campaign = run(seeds, first, first + CHUNK)
    assert sum(campaign.ends.values()) == CHUNK
    assert not campaign.findings, told(campaign)


def test_a_number_is_always_the_same_model(seeds: Path) -> None:
    models = load(seeds)
    drawn = [mutate(number, models) for number in range(100)]
    assert drawn == [mutate(number, models) for number in range(100)]
    assert len(set(drawn)) > 90


def test_what_is_damaged_was_sound(seeds: Path) -> None:
    models = dict(load(seeds))
    products = [name for name in models if name.startswith("own_")]
    assert len(products) >= 17
    for name in products:
        onnx.checker.check_model(models[name])
    kinds = {node.op_type for m in models.values() for node in onnx.load_from_string(m).graph.node}
    assert {"Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "If", "Loop"} <= kinds
    assert {"Scan", "Resize", "Einsum", "QLinearMatMul", "ConvInteger", "Split"} <= kinds


CHILD = """
import json, os, signal, sys
first, last = int(sys.argv[2]), int(sys.argv[4])
for number in range(first, last):
    print(json.dumps({"number": number}), flush=True)
    if number == 3:
        os.kill(os.getpid(), getattr(signal, sys.argv[0]))
    if number == 5:
        print(json.dumps({"end": "broken", "message": "KeyError: 1"}), flush=True)
    elif number == 6:
        print(json.dumps({"end": "ModelError", "message": "something is wrong"}), flush=True)
    else:
        print(json.dumps({"end": "ModelError", "message": "node 'a' is wrong"}), flush=True)
"""


@pytest.mark.parametrize(
    ("death", "said"), [("SIGSEGV", "killed by SIGSEGV"), ("SIGALRM", "took more than 20 s")]
)
def test_crashes_hangs_and_other_errors_are_found_and_the_rest_goes_on(
    tmp_path: Path, death: str, said: str
) -> None:
    # The judge is judged: a child that does on purpose what no model may do.
    script = f"import sys; sys.argv[0] = {death!r}{CHILD}"
    campaign = run(tmp_path, 0, 9, worker=[sys.executable, "-c", script])
    assert [(found.number, found.what) for found in campaign.findings] == [
        (3, said),
        (5, "KeyError: 1"),
        (6, "something is wrong"),
    ]
    assert campaign.ends == {"ModelError": 7, "broken": 1, "died": 1}
