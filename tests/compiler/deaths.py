"""What a model might do to the child process that reads it, done on purpose."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx

from photonpu.compiler.untrusted.sandboxed import Request, Tell, beginning, prepare


def crash(request: Request, tell: Tell) -> str:
    tell(stage="reading and checking it")
    os.kill(os.getpid(), signal.SIGSEGV)
    return ""


def crash_at_relu(request: Request, tell: Tell) -> str:
    """Crash as native code does: wherever the operator is, nothing is known but the stage."""
    tell(stage="simplifying it with onnxruntime")
    proto = beginning(request, tell) if request["nodes"] else onnx.load(request["path"])
    if any(node.op_type == "Relu" for node in proto.graph.node):
        os.abort()
    return ""


def leave(request: Request, tell: Tell) -> str:
    os._exit(7)


def spin(request: Request, tell: Tell) -> str:
    tell(stage="reading and checking it")
    while True:
        pass


def sleep(request: Request, tell: Tell) -> str:
    tell(stage="reading and checking it")
    time.sleep(60)
    return ""


def hoard(request: Request, tell: Tell) -> str:
    tell(stage="simplifying it with onnxruntime")
    kept = []
    while True:
        kept.append(np.ones(2**22))


def abort_for_memory(request: Request, tell: Tell) -> str:
    tell(stage="simplifying it with onnxruntime")
    sys.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'\n")
    sys.stderr.flush()
    os.abort()


def stumble(request: Request, tell: Tell) -> str:
    tell(stage="simplifying it with onnxruntime")
    raise KeyError("a bug of ours")


def call_home(request: Request, tell: Tell) -> str:
    socket.socket()
    return ""


def start_a_program(request: Request, tell: Tell) -> str:
    subprocess.run([sys.executable, "-c", ""], check=True)
    return ""


def fill_the_disk(request: Request, tell: Tell) -> str:
    with (Path(request["folder"]) / "large").open("wb") as file:
        while True:
            file.write(bytes(2**22))


def leave_files(request: Request, tell: Tell) -> str | None:
    """Read the model as usual, after leaving files where temporary ones go."""
    import tempfile

    Path(tempfile.mkdtemp(), "left").write_text("behind")
    return prepare(request, tell)


def say_too_large(request: Request, tell: Tell) -> None:
    """Answer what is answered for a model that is too large for one file."""
