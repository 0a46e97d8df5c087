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
process does: what that may cost is bounded by `photonpu.compiler.untrusted.limits` alone. A model
of 2 GiB or more is not handed back as bytes: this process reads its files again.

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
from typing import Any, NamedTuple

from photonpu import errors
from photonpu.compiler.untrusted.checked import Checked
from photonpu.compiler.untrusted.limits import DEFAULT, Limits
from photonpu.errors import ModelError, PhotonpuError

#: Imports are not limited by `Limits.seconds`; they may take so long on a busy machine, in s.
START_S = 60.0
#: What the child runs: a function like `prepare` of the module `sandboxed`, as module:name.
WORK = "photonpu.compiler.untrusted.sandboxed:prepare"
_START = (
    "import json, sys; request = json.load(sys.stdin); sys.path[:] = request['sys_path']; "
    "from photonpu.compiler.untrusted import sandboxed; sandboxed.main(request)"
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
            "nodes": 0,
        }
        end = _run(request, limits)
        answer = _answer(end, request, limits)
        if answer["model"] is None:
            return Checked(_read_here(path, limits), Path(path).stem, limits)
        return Checked(_parsed(Path(folder) / answer["model"]), Path(path).stem, limits)


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
    return Checked(_read_here(path, limits), Path(path).stem, limits)


def _read_here(path: str | Path, limits: Limits) -> Any:
    from photonpu.compiler import reader

    return reader.read(path, limits=limits)


class _End(NamedTuple):
    """How a child ended: its exit status, or None if it was out of time; its report; stderr."""

    code: int | None
    records: list[dict[str, Any]]
    stderr: bytes

    @property
    def last(self) -> dict[str, Any]:
        return self.records[-1] if self.records else {}

    @property
    def signal(self) -> str:
        """The name of the signal that ended it, or nothing."""
        return signal.Signals(-self.code).name if self.code is not None and self.code < 0 else ""

    @property
    def crashed(self) -> bool:
        """Whether it ended otherwise than by itself or for want of time."""
        return self.code not in (0, None) and self.signal not in _TIME and "bug" not in self.last

    def said(self, key: str, otherwise: Any) -> Any:
        """Return what it reported last under a key."""
        return next((r[key] for r in reversed(self.records) if key in r), otherwise)


def _run(request: Mapping[str, Any], limits: Limits) -> _End:
    """Run a child to its end."""
    folder = Path(request["folder"])
    environment = {
        **os.environ,
        **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(folder)),
        # More threads would help nothing here and take memory each.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    code = None
    with (
        (folder / "stderr").open("w+b") as stderr,
        subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # nothing is written to it; it closes when the child ends
            stderr=stderr,
            env=environment,
        ) as child,
    ):
        try:
            # This process needs these next, and the child takes as long to load the same.
            _import_while_waiting(child, request)
            child.communicate(timeout=START_S + limits.seconds)
            code = child.returncode
        except subprocess.TimeoutExpired:
            pass
        finally:
            child.kill()
    report = folder / "report"
    lines = report.read_bytes().split(b"\n")[:-1] if report.exists() else []
    last_words = (folder / "stderr").read_bytes()[-4096:]
    return _End(code, [json.loads(line) for line in lines], last_words)


def _import_while_waiting(child: subprocess.Popen[bytes], request: Mapping[str, object]) -> None:
    if child.stdin is not None:
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        child.stdin = None
    import onnxruntime  # noqa: F401

    import photonpu.compiler  # noqa: F401


def _answer(end: _End, request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Return what the child answered; raise what it raised, or what became of it."""
    last, path = end.last, request["path"]
    stage = end.said("stage", "starting to read it")
    # Native code aborts when it has no memory, and says so.
    short = b"bad_alloc" in end.stderr or b"MemoryError" in end.stderr
    if end.code == 0 and "model" in last:
        return last
    if last.get("memory", end.crashed and short):
        raise ModelError(
            f"'{path}': {stage} took more than {limits.memory_bytes / 2**30:.3g} GiB of memory; if "
            "you trust the file, give more with --max-memory-gb"
        )
    if end.code == 0 and "error" in last:
        raise _error(last["error"])(last["message"])
    if "bug" in last:
        raise ModelError(
            f"'{path}': {stage} failed: {last['bug']}; please report it with the file; --trust "
            "shows where it happened"
        )
    if not end.crashed and not end.records:
        raise ModelError(
            f"'{path}': the process that is to read it was not ready after "
            f"{START_S + limits.seconds:g} s: this machine is too busy; try again later, or, if "
            "you trust the file, with --trust"
        )
    if not end.crashed:
        raise ModelError(
            f"'{path}': {stage} took more than {limits.seconds:g} s; if you trust the file, give "
            "more with --max-seconds"
        )
    raise ModelError(
        f"'{path}': {stage} crashed with {end.signal or f'exit status {end.code}'}"
        f"{_where(request, limits)}: the file is damaged or hostile; nothing was taken from it; "
        "export the model again"
    )


def _where(request: Mapping[str, Any], limits: Limits) -> str:
    """Return at which node a model crashes its child, if the nodes up to there do so alone."""

    def crash(nodes: int) -> _End | None:
        (Path(request["folder"]) / "report").unlink(missing_ok=True)
        end = _run({**request, "nodes": nodes}, limits)
        return end if end.crashed and end.said("at", None) else None

    found = crash(2**31)
    if found is None:
        return ""
    fine, crashes = 0, int(found.said("of", 0))
    while crashes - fine > 1:
        middle = (fine + crashes) // 2
        end = crash(middle)
        fine, crashes, found = (middle, crashes, found) if end is None else (fine, middle, end)
    return f" at {found.said('node', '')}"


def _error(name: str) -> type[PhotonpuError]:
    found = getattr(errors, name, ModelError)
    known = isinstance(found, type) and issubclass(found, PhotonpuError)
    return found if known else ModelError


def _parsed(path: Path) -> Any:
    import onnx

    return onnx.ModelProto.FromString(path.read_bytes())
