"""What a trial's network needs on a device, whatever format it leaves in."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DeviceView(BaseModel):
    """What a network needs on a device."""

    model_config = ConfigDict(frozen=True)

    packed_bytes: int = Field(description="all parameters, each in its own number of bits")
    peak_activation_bytes: int = Field(description="activations that are kept at one time, in their bits")
    macs: int = Field(description="multiplications and additions of one inference")


class OnDevice(BaseModel):
    """The part of a trial about devices."""

    device: DeviceView | None = Field(
        None, description="what its network needs on a device; None without a quantized network"
    )
