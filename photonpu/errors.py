"""What photonpu raises, all below one root.

::

    PhotonpuError
    ├── MachineError            a machine description: unknown key, value out of range, bad TOML
    ├── ModelError              an ONNX model that cannot be read, or is malformed
    │   └── UnsupportedModelError   a sound model that photonpu does not map
    ├── ProgramError            a compiled program: damaged file, or made for another machine
    ├── InputError              arrays or arguments handed over at run time
    ├── DataError               a dataset that is missing, damaged or of unknown layout
    ├── SweepError              a parameter space or a store of results
    └── StorageError            a file that cannot be written

Every message says where, what was found, and what would do.
"""

from __future__ import annotations


class PhotonpuError(Exception):
    """Root of all errors that photonpu raises on purpose."""


class MachineError(PhotonpuError):
    """A machine description does not hold: the message names each key and value."""


class ModelError(PhotonpuError):
    """An ONNX model cannot be read, or is malformed."""


class UnsupportedModelError(ModelError):
    """A sound ONNX model asks for something that photonpu does not map."""


class ProgramError(PhotonpuError):
    """A compiled program is damaged, or does not fit the machine at hand."""


class InputError(PhotonpuError):
    """An array or an argument handed over at run time does not fit."""


class DataError(PhotonpuError):
    """A dataset is missing, damaged, or of a layout that is not known."""


class SweepError(PhotonpuError):
    """A parameter space or a store of sweep results does not hold."""


class StorageError(PhotonpuError):
    """A file cannot be written; what was there before is untouched."""


class PhotonpuWarning(UserWarning):
    """Something that holds, but that its user would want to know."""
