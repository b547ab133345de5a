"""What the models of bodies, forms and views have in common: their bases, and types of their fields.

A noun's own models are in its `schemas` module. Both doors make them: the REST door of a body, a
page of a form. What a validator raises as `InvalidRequest` comes through as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from vibe_app.wire import iso, unicode_text

Str = Annotated[str, AfterValidator(unicode_text)]
Moment = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str),
    Field(json_schema_extra={"example": "2026-11-22T09:30:00.000Z", "format": "date-time"}),
]


def documented(**extra: Any) -> Any:
    """Say of a field what its description shall show; it checks nothing."""
    return Field(json_schema_extra=extra)


Version = Annotated[
    Annotated[int, Field(ge=1, le=2**31 - 1)] | None,
    Field(description="The version that you read; or name it in If-Match"),
]


class Taken(BaseModel):
    """What a door takes. A field that it does not know is refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid")


class Patch(Taken):
    """What to change of something; what is absent stays.

    Null takes away what may be missing (`nullable`); of anything else it changes nothing.
    """

    nullable: ClassVar[frozenset[str]] = frozenset()
    beside: ClassVar[frozenset[str]] = frozenset()
    """Fields that say something about the change, and are none of what is changed."""

    def given(self) -> dict[str, Any]:
        """Return what is to be written, cleaned, by field."""
        values = {name: getattr(self, name) for name in self.model_fields_set - self.beside}
        return {name: value for name, value in values.items() if value is not None or name in self.nullable}


class View(BaseModel):
    """What a door shows: a frozen value, never a row."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    @classmethod
    def of(cls, source: object) -> Self:
        """Make it of something with these attributes."""
        return cls.model_validate(source)

    @classmethod
    def all(cls, sources: Iterable[object]) -> list[Self]:
        """Make several."""
        return [cls.model_validate(source) for source in sources]
