"""The command line opens no socket, and writes nowhere but where it was told and to its caches.

Native code is out of sight of Python's audit hooks, so commands run in a namespace without any
network where the system makes one, and files are found by comparing folders before and after.
Sockets are counted by the audit hook besides, in the process and in the child that reads models.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import network

ROOT = Path(__file__).resolve().parents[1]
#: Where this process has its compiled kernels: compiling them anew would take minutes.
KERNELS = os.environ.get("NUMBA_CACHE_DIR") or str(
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "photonpu" / "numba"
)
#: Tells of every socket and every name looked up, whatever becomes of it.
HOOK = """
import os, sys
def _hook(event, args):
    if event.startswith(("socket.__new__", "socket.connect", "socket.getaddrinfo")):
        with open(os.environ["SOCKETS"], "a") as file:
            file.write(f"{event} {args!r}\\n")
sys.addaudithook(_hook)
"""


@dataclass(frozen=True)
class Room:
    """Fresh folders for a command: where it starts, its home, and its temporary files."""

    work: Path
    home: Path
    temporary: Path
    sockets: Path

    def files(self) -> set[Path]:
        """Return every file of home and of the temporary folder."""
        folders = (self.home, self.temporary)
        return {path for folder in folders for path in folder.rglob("*") if path.is_file()}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "NUMBA_CACHE_DIR": KERNELS,
            "TMPDIR": str(self.temporary),
            "SOCKETS": str(self.sockets),
            "PYTHONPATH": os.pathsep.join([str(self.sockets.parent), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            [*_apart(), sys.executable, *command],
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
        )


def _apart() -> list[str]:
    """Return what to put before a command so that it has no network, if the system has it."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return []
    made = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if made else []


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """Return fresh folders, with a small network and images in the one to work in."""
    room = Room(
        work=tmp_path / "work",
        home=tmp_path / "home",
        temporary=tmp_path / "temporary",
        sockets=tmp_path / "hook" / "sockets",
    )
    for folder in (room.work, room.home, room.temporary, room.sockets.parent):
        folder.mkdir()
    (room.sockets.parent / "sitecustomize.py").write_text(HOOK)
    (room.work / "net.onnx").write_bytes(network().SerializeToString())
    images = np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)
    np.savez(room.work / "data.npz", image=images, mask=(images[:, 0] > 1).astype(np.uint8))
    return room


COMMANDS = (
    ["check", "net.onnx"],
    ["compile", "net.onnx", "-o", "net.ppu"],
    ["estimate", "net.onnx"],
    ["simulate", "net.onnx", "--data", "data.npz", "--chips", "1", "--metrics", "dice", "-q"],
)


def test_commands_open_no_socket_and_write_only_where_they_may(room: Room) -> None:
    for command in COMMANDS:
        done = room.run("-m", "photonpu", *command)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in room.work.iterdir()} == {"net.onnx", "data.npz", "net.ppu"}
    assert room.files() == set()  # the cache of kernels lies elsewhere
    assert not room.sockets.exists(), room.sockets.read_text()


DEEDS = (
    ("import socket; socket.socket()", "socket.__new__"),
    ("import socket\ntry: socket.getaddrinfo('localhost', 1)\nexcept OSError: pass", "getaddrinfo"),
    ("import tempfile; open(tempfile.mkdtemp() + '/left', 'w').write('x')", "temporary"),
    ("from pathlib import Path; (Path.home() / 'settings').write_text('x')", "home"),
)


@pytest.mark.parametrize(("deed", "trace"), DEEDS)
def test_what_opens_a_socket_or_writes_elsewhere_is_found(
    room: Room, deed: str, trace: str
) -> None:
    # The judge is judged: if these were not seen, the test above would say nothing.
    done = room.run("-c", deed)
    assert done.returncode == 0, done.stderr
    sockets = room.sockets.read_text() if room.sockets.exists() else ""
    assert trace in sockets or any(path.parts[-2:] and trace in path.parts for path in room.files())


def test_the_namespace_has_no_network(room: Room) -> None:
    if not _apart():
        pytest.skip("this system makes no network namespaces")
    done = room.run("-c", "print(open('/proc/net/dev').read())")
    interfaces = [line.split(":")[0].strip() for line in done.stdout.splitlines() if ":" in line]
    assert interfaces == ["lo"]


def test_the_cache_of_kernels_is_all_that_is_written_at_home(room: Room) -> None:
    script = "from photonpu.jit import _own_folder; print(_own_folder())"
    assert Path(room.run("-c", script).stdout.strip()) == room.home / ".cache/photonpu/numba"


def test_telemetry_of_onnxruntime_is_off_before_it_is_imported(room: Room) -> None:
    script = "import photonpu, os, sys; print(os.environ['ORT_DISABLE_TELEMETRY'], sys.modules)"
    done = room.run("-c", script)
    assert done.stdout.startswith("1 ")
    assert "'onnxruntime'" not in done.stdout
