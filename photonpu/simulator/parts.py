"""A quantity made of named parts, all in the unit that ends their names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class Parts:
    """A quantity made of parts: the fields of a subclass, ``laser_j`` and so on."""

    @property
    def total(self) -> float:
        """Sum of the parts, in their unit."""
        return math.fsum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """Return the parts by their names without the unit."""
        return {name.rpartition("_")[0]: value for name, value in self.named().items()}

    def named(self) -> dict[str, float]:
        """Return the parts by their names with the unit."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}

    def shares(self) -> dict[str, float]:
        """Return the share of each part in the total; all 0 where the total is."""
        total = self.total
        return {name: value / total if total else 0.0 for name, value in self.parts().items()}

    @classmethod
    def sum(cls, items: Iterable[Self]) -> Self:
        """Return the sum of `items`, part by part."""
        columns = [item.named() for item in items]
        return cls(
            **{field.name: math.fsum(part[field.name] for part in columns) for field in fields(cls)}
        )


def significant(quantity: Parts) -> Iterator[tuple[str, float, float]]:
    """Yield name, value and share of the parts that are not 0, the largest first."""
    shares = quantity.shares()
    for name, value in sorted(quantity.parts().items(), key=lambda item: -item[1]):
        if value:
            yield name, value, shares[name]
