"""The child process that reads untrusted models: what it hands back, and what it survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
from onnx import helper

from photonpu.compiler import reader
from photonpu.compiler.untrusted import sandbox, syscalls
from photonpu.compiler.untrusted.limits import Limits
from photonpu.compiler.untrusted.sandbox import read_confined, read_trusted
from photonpu.errors import ModelError, UnsupportedModelError
from tests.compiler.networks import network, numbers

ROOT = Path(__file__).resolve().parents[2]
SMALL = Limits(seconds=30.0, memory_bytes=2**28)
SHORT = Limits(seconds=1.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the file of a product and an activation on images of free size."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="stem"),
        helper.make_node("Relu", ["a"], ["b"], name="rectify"),
        helper.make_node("Conv", ["b", "v"], ["y"], name="head"),
    ]
    constants = {"w": numbers(3, 2, 3, 3), "v": numbers(1, 3, 1, 1)}
    path = tmp_path / "net.onnx"
    onnx.save(network(nodes, {"x": ["N", 2, "H", "W"]}, {"y": 4}, constants), path)
    return path


def test_the_child_hands_back_what_reading_gives(model: Path) -> None:
    read = read_confined(model, shapes={"x": (1, 2, 8, 8)})
    assert read.name == "net"
    assert read.proto == reader.read(model)
    assert reader.read(read) is read.proto  # nobody checks it twice
    assert read_trusted(model).proto == read.proto


def test_calibration_samples_fix_free_axes_in_the_child_too(model: Path) -> None:
    assert read_confined(model, samples=(4, 2, 8, 8)).name == "net"
    assert read_confined(model, samples={"x": (4, 2, 8, 8)}).name == "net"
    with pytest.raises(UnsupportedModelError, match="input 'x' has free axes"):
        read_confined(model)


def test_errors_of_the_child_are_those_of_this_process(tmp_path: Path, model: Path) -> None:
    missing = tmp_path / "missing.onnx"
    for path, limits in ((missing, Limits()), (model, Limits(nodes=2))):
        with pytest.raises(ModelError) as here:
            reader.read(path, limits=limits)
        with pytest.raises(ModelError) as there:
            read_confined(path, limits=limits)
        assert str(there.value) == str(here.value)
        assert type(there.value) is type(here.value)


def test_limits_hold_in_this_process_for_a_trusted_model(model: Path) -> None:
    with pytest.raises(ModelError, match="2"):
        read_trusted(model, limits=Limits(nodes=2))


@pytest.mark.parametrize(
    ("death", "message"),
    [
        ("crash", "reading and checking it crashed with SIGSEGV: the file is damaged or hostile"),
        ("leave", "starting to read it crashed with exit status 7: the file is damaged"),
        ("spin", "reading and checking it took more than 1 s; .* give more with --max-seconds"),
        ("sleep", "reading and checking it took more than 1 s; if you trust the file"),
        (
            "hoard",
            "simplifying it with onnxruntime took more than 0.25 GiB of memory; .*-memory-gb",
        ),
        ("abort_for_memory", "simplifying it with onnxruntime took more than 0.25 GiB of memory"),
        (
            "stumble",
            "onnxruntime failed: KeyError: 'a bug of ours'; please report it with the file",
        ),
        ("fill_the_disk", "starting to read it failed: OSError: .*File too large"),
    ],
)
def test_a_model_that_harms_the_child_is_an_error_that_names_the_file(
    model: Path, death: str, message: str
) -> None:
    limits = SHORT if death in ("spin", "sleep") else SMALL
    with pytest.raises(ModelError, match=message) as error:
        read_confined(model, limits=limits, work=f"tests.compiler.deaths:{death}")
    assert str(error.value).startswith(f"'{model}': ")
    assert "\n" not in str(error.value)


def test_a_child_that_is_not_ready_in_time_is_not_held_against_the_model(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The time for imports has passed before it begins: as on a machine that does much else.
    monkeypatch.setattr(sandbox, "START_S", -0.999)
    with pytest.raises(ModelError, match="was not ready after 0.001 s: this machine is too busy"):
        read_confined(model, limits=SHORT)


def test_a_crash_names_the_node_up_to_which_the_model_is_harmless(model: Path) -> None:
    work = "tests.compiler.deaths:crash_at_relu"
    with pytest.raises(ModelError, match=r"crashed with SIGABRT at node 'rectify' \(Relu\): the"):
        read_confined(model, work=work)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no seccomp")
@pytest.mark.parametrize("deed", ["call_home", "start_a_program"])
def test_the_child_opens_no_socket_and_starts_no_program(model: Path, deed: str) -> None:
    script = "from photonpu.compiler.untrusted import syscalls; print(syscalls.refuse())"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    if done.stdout != "True\n":
        pytest.skip("this system sets no filter of system calls")
    with pytest.raises(ModelError, match="PermissionError: .*Operation not permitted"):
        read_confined(model, work=f"tests.compiler.deaths:{deed}")


def test_the_table_of_system_calls_is_complete() -> None:
    for architecture, calls in syscalls.NUMBERS.values():
        assert architecture & 0xC0000000 == 0xC0000000  # 64 bits, little-endian
        assert len(set(calls)) == len(calls) == 8


def test_nothing_that_the_child_leaves_stays(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    read_confined(model, shapes={"x": (1, 2, 8, 8)}, work="tests.compiler.deaths:leave_files")
    with pytest.raises(ModelError):
        read_confined(model, limits=SMALL, work="tests.compiler.deaths:crash")
    assert list(place.iterdir()) == []


def test_a_model_that_is_too_large_to_hand_back_is_read_again(model: Path) -> None:
    read = read_confined(model, work="tests.compiler.deaths:say_too_large")
    assert read.proto == reader.read(model)


def test_the_child_does_not_take_modules_from_the_folder_it_starts_in(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnx.py").write_text("raise SystemExit('a module beside the model')")
    monkeypatch.chdir(tmp_path)
    assert read_confined(model, shapes={"x": (1, 2, 8, 8)}).name == "net"


INTERRUPTED = """
import sys
from photonpu.compiler.untrusted.sandbox import read_confined
print("begun", flush=True)
read_confined(sys.argv[1], work="tests.compiler.deaths:sleep")
"""


def test_an_interrupt_ends_both_processes(model: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(model)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "begun\n"
    while not (children := _children(parent.pid)):
        assert parent.poll() is None
        time.sleep(0.01)
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def _children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True)
    return [int(word) for word in listed.stdout.split()]
