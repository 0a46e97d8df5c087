"""A named table, filled by decorator, that answers a wrong name with those that it has."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from photonpu.errors import PhotonpuError

T = TypeVar("T")
E = TypeVar("E")


class UnknownNameError(PhotonpuError, KeyError):
    """A name that is in none of the entries of a table."""

    def __str__(self) -> str:
        """Give the message as it is: `KeyError` alone would quote it."""
        return str(self.args[0])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to `name`, or ``""``."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


class Registry(Mapping[str, T], Generic[T]):
    """A table of named entries.

    Parameters
    ----------
    kind
        What one entry is, for messages: ``"mesh"``.

    Examples
    --------
    >>> SHAPES = Registry[type]("shape")
    >>> @SHAPES.register("round")
    ... class Round: ...
    >>> SHAPES["oval"]
    Traceback (most recent call last):
    photonpu.registry.UnknownNameError: no shape is called 'oval'; there are: round
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[E], E]:
        """Return a decorator that enters its argument under `name`, once."""

        def enter(entry: E) -> E:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        """Return the entry, or raise `UnknownNameError` with the nearest name and all others."""
        try:
            return self._entries[name]
        except KeyError:
            pass
        guess, known = did_you_mean(name, self._entries), ", ".join(self._entries)
        there = f"{' T' if guess else '; t'}here are: {known}" if known else ""
        raise UnknownNameError(f"no {self.kind} is called '{name}'{guess}{there}")

    def __contains__(self, name: object) -> bool:
        """Say whether there is such an entry, without looking for others like it."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in the order of their registration."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)
