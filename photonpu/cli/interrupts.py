"""Ctrl-C in compiled code, which makes another error of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def as_interrupts() -> Iterator[None]:
    """Raise what Ctrl-C became, while a compiled module loaded or a kernel ran, as what it is."""
    try:
        yield
    except (ImportError, SystemError) as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__
        if cause is None:
            raise
        raise KeyboardInterrupt from None
