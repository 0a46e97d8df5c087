"""Have Linux refuse system calls to this process for good: no sockets, no programs, no tracing.

A filter of seccomp (man 2 seccomp) in classic BPF. Where it cannot be set (another system, another
processor, a container that forbids it) nothing changes: it is the second fence, not the first.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import sys

#: machine -> audit architecture (linux/audit.h), and the numbers there of socket, socketpair,
#: io_uring_setup, execve, execveat, ptrace, process_vm_readv and process_vm_writev.
NUMBERS = {
    "x86_64": (0xC000003E, (41, 53, 425, 59, 322, 101, 310, 311)),
    "aarch64": (0xC00000B7, (198, 199, 425, 221, 281, 117, 270, 271)),
}
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 1, 22, 38, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000  # x86-64's other numbering of the same calls begins here


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jump_true", ctypes.c_ubyte),
        ("jump_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def refuse() -> bool:
    """Refuse the calls from now on, and end this process when its parent ends.

    Returns
    -------
    bool
        Whether the system does so.
    """
    known = NUMBERS.get(platform.machine())
    if sys.platform != "linux" or known is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    architecture, numbers = known
    wanted = len(numbers)
    lines = [
        (_LOAD, 0, 0, 4),  # struct seccomp_data: number, architecture, ...
        (_EQUAL, 0, wanted + 2, architecture),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, wanted + 1, 0, _X32),
        *((_EQUAL, wanted - index, 0, n) for index, n in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    filters = (_Instruction * len(lines))(*(_Instruction(*line) for line in lines))
    program = _Program(len(lines), filters)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return not libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)
