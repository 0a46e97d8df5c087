"""Read an untrusted model in a child process, so that the worst it can do is to kill that child.

The child reads the file, checks it, simplifies it and runs every pass on it: all that native code
(onnx's checker and shape inference, onnxruntime's loader) does with a model before it runs. Memory,
CPU time, the time on the clock and the size of files are limited, core files are off, and on Linux
it can open no socket and start no program. What comes back is the bytes of the model as checked, or
a line that says why not. This process parses those bytes and simplifies them again, which the
child has survived; the checks are not repeated.

It protects from files that crash, hang or exhaust parsers, and keeps code that a file might smuggle
into the child from the network and from starting programs; that code could still read and write
the user's files. It does not cover the run of the float network on calibration samples, which this
process does: what that may cost is bounded by `photonpu.compiler.limits` alone. A model of 2 GiB or
more is not handed back as bytes: this process reads its files again.

Where limits cannot be set (Windows has none of them; macOS does not enforce memory) the time on the
clock still is, by this process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from photonpu import errors
from photonpu.compiler.checked import Checked
from photonpu.compiler.limits import DEFAULT, Limits
from photonpu.errors import ModelError, PhotonpuError

#: Imports are not limited by `Limits.seconds`; they may take so long on a busy machine, in s.
START_S = 60.0
#: What the child runs: a function of `photonpu.compiler.sandboxed`'s kind, as module:name.
WORK = "photonpu.compiler.sandboxed:prepare"
_START = (
    "import json, sys; request = json.load(sys.stdin); sys.path[:] = request['sys_path']; "
    "from photonpu.compiler import sandboxed; sandboxed.main(request)"
)
_TIME = {"SIGALRM", "SIGXCPU"}


def read_confined(
    path: str | Path,
    *,
    limits: Limits = DEFAULT,
    shapes: Mapping[str, Sequence[int]] | None = None,
    samples: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    work: str = WORK,
) -> Checked:
    """Read a model in a child process of bounded memory and time.

    Parameters
    ----------
    path
        The ``.onnx`` file.
    limits
        How much the model may ask for, and what the child may take.
    shapes
        For inputs with free axes, the shapes that the model will be compiled for.
    samples
        Shape of the calibration samples, or one for each input by name.
    work
        What the child runs.

    Returns
    -------
    Checked
        The model, checked.

    Raises
    ------
    ModelError
        It cannot be read or is malformed; or the child crashed, or ran out of time or memory.
    UnsupportedModelError
        Neither the mesh nor the digital unit can run it.
    """
    with tempfile.TemporaryDirectory(prefix="photonpu-") as folder:
        request = {
            "sys_path": [str(Path(entry).absolute()) for entry in sys.path],
            "path": str(path),
            "folder": folder,
            "limits": dataclasses.asdict(limits),
            "shapes": {name: list(shape) for name, shape in (shapes or {}).items()},
            "samples": dict(samples) if isinstance(samples, Mapping) else samples,
            "work": work,
        }
        code = _run(request, Path(folder), limits)
        answer = _answer(Path(folder) / "report", str(path), code, limits)
        if answer["model"] is None:
            return Checked(_read_here(path, limits), Path(path).stem)
        return Checked(_parsed(Path(folder) / answer["model"]), Path(path).stem)


def read_trusted(path: str | Path, *, limits: Limits = DEFAULT) -> Checked:
    """Read and check a model in this process.

    Parameters
    ----------
    path, limits
        As for `read_confined`.

    Raises
    ------
    ModelError, UnsupportedModelError
        As `photonpu.compiler.reader.read`.
    """
    return Checked(_read_here(path, limits), Path(path).stem)


def _read_here(path: str | Path, limits: Limits) -> Any:
    from photonpu.compiler import reader

    return reader.read(path, limits=limits)


def _run(request: Mapping[str, object], folder: Path, limits: Limits) -> int | None:
    """Run the child; return its exit status, or None if it was out of time."""
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "TMP": str(folder),
        "TEMP": str(folder),
        # More threads would help nothing here and take memory each.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    with (folder / "stderr").open("wb") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # nothing is written to it; it closes when the child ends
            stderr=stderr,
            env=environment,
        )
        try:
            # This process needs these next, and the child takes as long to load the same.
            _import_while_waiting(child, request)
            child.communicate(timeout=START_S + limits.seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            child.kill()
            child.wait()
    return child.returncode


def _import_while_waiting(child: subprocess.Popen[bytes], request: Mapping[str, object]) -> None:
    if child.stdin is not None:
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        child.stdin = None
    import onnxruntime  # noqa: F401

    import photonpu.compiler  # noqa: F401


def _answer(report: Path, path: str, code: int | None, limits: Limits) -> dict[str, Any]:
    """Return what the child answered; raise what it raised, or what became of it."""
    lines = report.read_text().split("\n")[:-1] if report.exists() else []
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    stage = "starting to read it"
    for record in records:
        stage = record.get("stage", stage)
    last = records[-1] if records else {}
    if code == 0 and "model" in last:
        return last
    if code == 0 and "error" in last and not last["memory"]:
        raise _error(last["error"])(last["message"])
    crash = code is not None and _signal(code) not in _TIME
    memory = last.get("memory", False) or (crash and _ran_out(report.with_name("stderr")))
    if memory:
        size = f"{limits.memory_bytes / 2**30:.3g} GiB"
        raise ModelError(
            f"'{path}': {stage} took more than {size} of memory; if you trust the file, give more "
            "with --max-memory-gb"
        )
    if not crash:
        raise ModelError(
            f"'{path}': {stage} took more than {limits.seconds:g} s; if you trust the file, give "
            "more with --max-seconds"
        )
    if "bug" in last:
        raise ModelError(
            f"'{path}': {stage} failed: {last['bug']}; please report it with the file; --trust "
            "shows where it happened"
        )
    how = _signal(code or 0) or f"exit status {code}"
    raise ModelError(
        f"'{path}': {stage} crashed with {how}: the file is damaged or hostile; nothing was taken "
        "from it; export the model again"
    )


def _signal(code: int) -> str:
    """Return the name of the signal that ended a process, or nothing."""
    return signal.Signals(-code).name if code < 0 else ""


def _ran_out(stderr: Path) -> bool:
    """Whether the child's last words speak of memory: native code aborts when it has none."""
    return any(word in stderr.read_bytes()[-4096:] for word in (b"bad_alloc", b"MemoryError"))


def _error(name: str) -> type[PhotonpuError]:
    found = getattr(errors, name, ModelError)
    known = isinstance(found, type) and issubclass(found, PhotonpuError)
    return found if known else ModelError


def _parsed(path: Path) -> Any:
    import onnx

    return onnx.ModelProto.FromString(path.read_bytes())
