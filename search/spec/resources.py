"""What a job asks of the machines that train its trials."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StringConstraints, field_validator

from search.spec.base import Frozen

#: Form of the name of an extra, which workers declare and jobs ask for.
EXTRA_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"

Extra = Annotated[str, StringConstraints(pattern=EXTRA_PATTERN)]


class Resources(Frozen):
    """What a worker must have to do any work of the job; a trial gets no more than this."""

    cores: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="cores for each trial, and its threads; null: what a worker has for each of its trials",
    )
    memory_mb: int | None = Field(
        None,
        ge=700,
        le=16_000_000,
        description="memory for each trial's process, Keras (500 MB) included; a trial that needs more ends as failed."
        " null: what a worker has for each of its trials",
    )
    accelerators: int = Field(0, ge=0, le=64, description="GPUs or TPUs that the worker must have")
    extras: tuple[Extra, ...] = Field(
        (), max_length=16, description="names that the worker must declare in FEWBITS_WORKER_EXTRAS"
    )

    @field_validator("extras")
    @classmethod
    def _in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))
