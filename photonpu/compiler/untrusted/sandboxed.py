"""What runs in the child process of `photonpu.compiler.untrusted.sandbox`.

It talks through one file, ``report``: a line of JSON for each stage it comes to, and a last one
with the name of the model's file, or the error. Imports come first, then limits, then the model.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from photonpu.compiler.untrusted import syscalls, walk
from photonpu.compiler.untrusted.limits import Limits
from photonpu.errors import PhotonpuError

if TYPE_CHECKING:
    import onnx

Request = Mapping[str, Any]
Tell = Callable[..., None]
Work = Callable[[Request, Tell], "str | None"]


def main(request: Request) -> None:
    """Do the work that was asked for under the limits, report, and end the process."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is our parent's, who ends us
    with (Path(request["folder"]) / "report").open("wb") as report:
        module, _, name = request["work"].partition(":")
        work = cast("Work", getattr(importlib.import_module(module), name))
        _import()
        _tell(report, stage="starting to read it")
        confine(Limits(**request["limits"]))
        try:
            answer: dict[str, object] = {"model": work(request, functools.partial(_tell, report))}
        except PhotonpuError as error:
            text = str(error)
            memory = "bad_alloc" in text or "Failed to allocate memory" in text
            answer = {"error": type(error).__name__, "message": text, "memory": memory}
        except MemoryError:
            answer = {"memory": True}
        except Exception as error:  # a bug of ours, which must not look like a crash of theirs
            answer = {"bug": f"{type(error).__name__}: {error}"}
        _tell(report, **answer)
    os._exit("bug" in answer)  # nothing is left to do that tidying up would serve


def prepare(request: Request, tell: Tell) -> str | None:
    """Read, check, simplify and pass a model; write it as it was checked.

    Parameters
    ----------
    request
        What `photonpu.compiler.untrusted.sandbox` asks for. If it names a count of ``nodes``, the
        model ends behind so many, and what the last is called is told first.
    tell
        Takes what is to be reported, by keywords.

    Returns
    -------
    str or None
        Name of the file in the folder; None for a model that is too large to be one.
    """
    import numpy as np
    from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

    from photonpu.compiler import pipeline, reader

    source = beginning(request, tell) if request["nodes"] else request["path"]
    tell(stage="reading and checking it")
    limits = Limits(**request["limits"])
    proto = reader.read(source, limits=limits)
    samples = request["samples"]
    zero = np.zeros((), np.float32)
    if isinstance(samples, Mapping):
        stand_ins: Any = {k: np.broadcast_to(zero, shape) for k, shape in samples.items()}
    else:
        stand_ins = None if samples is None else np.broadcast_to(zero, samples)
    shapes = {**pipeline.shapes_of(stand_ins, proto), **request["shapes"]}
    tell(stage="simplifying it with onnxruntime")
    pipeline.simplified(proto, shapes, limits)
    tell(stage="writing it for the parent process")
    try:
        data = proto.SerializeToString()
    except EncodeError:
        return None
    (Path(request["folder"]) / "model.onnx").write_bytes(data)
    return "model.onnx"


def beginning(request: Request, tell: Tell) -> onnx.ModelProto:
    """Return the first nodes of a model as a model; tell what the last is called, and of how many.

    Parameters
    ----------
    request, tell
        As for `prepare`.
    """
    import onnx

    proto: onnx.ModelProto = onnx.ModelProto.FromString(Path(request["path"]).read_bytes())
    graph = proto.graph
    count = min(request["nodes"], len(graph.node))
    last = graph.node[count - 1]
    tell(node=f"{walk.where(last)}", at=count, of=len(graph.node))
    del graph.node[count:]
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in last.output if name)
    return proto


def _import() -> None:
    """Load all that a model needs, which is not the model's to pay for."""
    for module in ("onnx.inliner", "onnxruntime", "photonpu.compiler.pipeline"):
        importlib.import_module(module)


def confine(limits: Limits) -> None:
    """Limit this process for the rest of its life, by whatever means the system has.

    Parameters
    ----------
    limits
        Of which ``seconds`` and ``memory_bytes`` count, both from now on.
    """
    if sys.platform == "win32":
        return  # no limits there: the parent's clock is all there is
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = math.ceil(used.ru_utime + used.ru_stime + limits.seconds) + 1
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, limits.memory_bytes)
    _limit(resource.RLIMIT_AS, _address_space() + limits.memory_bytes)
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)  # nobody handles it: it ends us
    syscalls.refuse()


def _limit(which: int, value: int) -> None:
    """Set a limit, unless one is set already that is lower."""
    import resource

    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS knows some and refuses to set them
        resource.setrlimit(which, (most, most))


def _address_space() -> int:
    """Return the bytes of addresses in use, which imports have mapped generously."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 2**32
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _tell(report: BinaryIO, **record: object) -> None:
    report.write(json.dumps(record).encode() + b"\n")
    report.flush()
