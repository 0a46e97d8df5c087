"""What each part of a machine is: a value that a user's file fills."""

from __future__ import annotations

from types import NoneType
from typing import ClassVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """A frozen value from a user's file: unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )
    thing: ClassVar[str] = "a machine"
    """What has these fields, for error messages."""

    @field_validator("*", mode="before")
    @classmethod
    def _read_plain(cls, value: object, info: ValidationInfo) -> object:
        """Read the text "none" as the null that TOML and a shell lack; true is no number."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, str) and value.lower() == "none" and NoneType in get_args(kind):
            return None
        if isinstance(value, bool) and kind is not bool:
            return str(value).lower()
        return value
