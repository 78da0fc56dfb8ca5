"""A search as its user states it: frozen values, checked when they are made.

Everything here is plain pydantic; nothing loads Keras. What needs the model or the data to be judged (a pattern that
matches no layer, shapes that do not fit) is checked by `search.space.choices` and `search.data`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from quantization.specs.parse import Quantizer
from search.spec.base import Frozen, kind_name
from search.spec.limits import MAX_NAME, Limits
from search.spec.objective import Objective, ObjectiveSpec
from search.spec.oracle import (
    BoundSpec,
    Constraints,
    HyperbandOracleSpec,
    NoBound,
    NoPostTraining,
    NoStopping,
    OracleSpec,
    PostTrainingSpec,
    RandomOracleSpec,
    StoppingSpec,
)
from search.spec.patterns import checked_pattern
from search.spec.quantizers import QuantizationSpace
from search.spec.schedule import ScheduleSpec, WholeModelSchedule
from search.spec.spiking import SpikingSpace, XyloModel
from search.spec.training import Training

FILTER_MULTIPLIERS: Final = (0.5, 0.75, 1.0, 1.5, 2.0)  #: of AutoQKeras; 1.0 is the default

UPLOAD_ID: Final = "^[0-9a-f]{16}$"
SHA256: Final = "^[0-9a-f]{64}$"


# --- model ---------------------------------------------------------------------------------------------------------


class ZooModel(Frozen):
    """A network that ships with fewbits; `fewbits models` lists them."""

    kind: Literal["zoo"] = "zoo"
    name: str = Field(examples=["digits_cnn", "mnist_convblock"])
    dropout_rate: float | None = Field(
        None, ge=0, lt=1, description="of the network's Dropout layers, instead of its own"
    )


class ArchitectureModel(Frozen):
    """An architecture as Keras writes it (`json.loads(model.to_json())`), built from supported layers only."""

    kind: Literal["architecture"] = "architecture"
    config: dict[str, Any]


class UploadedModel(Frozen):
    """A model of one's own that was uploaded before; `fewbits upload` prints its id."""

    kind: Literal["uploaded"] = "uploaded"
    id: str = Field(pattern=UPLOAD_ID)
    sha256: str | None = Field(
        None, pattern=SHA256, description="of the file; filled in when the job is submitted"
    )
    weights: bool = Field(
        True,
        description="the float model has the weights of the file, if it holds any; false: it is trained by the job's"
        " recipe",
    )


def _zoo_name(value: Any) -> Any:
    return {"kind": "zoo", "name": value} if isinstance(value, str) else value


#: A name alone is a network of the zoo.
Model = Annotated[
    ZooModel | ArchitectureModel | UploadedModel | XyloModel,
    Field(discriminator="kind"),
    BeforeValidator(_zoo_name),
]


# --- data ----------------------------------------------------------------------------------------------------------


class _Data(Frozen):
    validation_fraction: float = Field(
        0.2, gt=0, lt=1, description="share of the training part the search selects on"
    )
    train_samples: int | None = Field(
        None, ge=1, description="use only so many training images (validation aside)"
    )
    targets: Literal["stored", "inputs"] = Field(
        "stored", description="inputs: what the model is to give back is what it gets (autoencoders)"
    )
    target_scaling: Literal["none", "standard"] = Field(
        "none",
        description="of numbers as targets; standard: subtract the training mean and divide by the deviation, each"
        " number of an example on its own; losses and metrics are then in these units",
    )
    preprocessing: Literal["none", "unit", "centered"] = Field(
        "centered",
        description="unit: divide by the largest possible value; centered: and subtract the training mean",
    )


class DigitsData(_Data):
    """scikit-learn's 1,797 digits of 8x8; ships with the package. `test_fraction` of them are kept for the report."""

    kind: Literal["digits"] = "digits"
    test_fraction: float = Field(0.2, gt=0, lt=1)


class MnistData(_Data):
    """MNIST in the format of `keras.datasets`: `mnist.npz` in the server's data folder (FEWBITS_DATA_DIR)."""

    kind: Literal["mnist"] = "mnist"


class DiabetesData(_Data):
    """scikit-learn's diabetes data: 442 patients, 10 numbers each, and how far the disease went (25 to 346)."""

    kind: Literal["diabetes"] = "diabetes"
    test_fraction: float = Field(0.2, gt=0, lt=1)


class SpikingDigitsData(_Data):
    """The digits 0 to 7 of scikit-learn's, as events of 16 inputs: those that the network `spiking_digits` never saw.

    Each input is the mean of 2x2 pixels and fires evenly, at most once a step.
    """

    kind: Literal["spiking_digits"] = "spiking_digits"
    steps: int = Field(32, ge=1, le=1000)
    test_fraction: float = Field(0.3, gt=0, lt=1)
    validation_fraction: float = Field(
        0.7, gt=0, lt=1, description="share of the rest that the search measures on; what is left is priced"
    )
    preprocessing: Literal["none"] = "none"


class NpzData(_Data):
    """A `.npz` with x_train, y_train, x_test, y_test in the server's data folder (FEWBITS_DATA_DIR); no pickles.

    For a model of several outputs y_train_NAME and y_test_NAME, NAME being the layer of the output.
    """

    kind: Literal["npz"] = "npz"
    file: str = Field(min_length=1, max_length=500, description="path inside the data folder")


class UploadedData(_Data):
    """Data of one's own that were uploaded before; `fewbits upload` prints the id. The file is as for `npz`."""

    kind: Literal["uploaded"] = "uploaded"
    id: str = Field(pattern=UPLOAD_ID)
    sha256: str | None = Field(
        None, pattern=SHA256, description="of the file; filled in when the job is submitted"
    )


#: A word alone is a kind with its defaults.
Data = Annotated[
    DigitsData | DiabetesData | MnistData | SpikingDigitsData | NpzData | UploadedData,
    Field(discriminator="kind"),
    BeforeValidator(kind_name),
]


# --- goal ----------------------------------------------------------------------------------------------------------

Memory = Literal["sram", "dram", "fixed"]

#: [reference, trial], as AutoQKeras writes two-element lists.
MemoryPair = tuple[Memory, Memory]


class _Goal(Frozen):
    """Each `rate`-fold shrink of the cost forgives `delta_p` percent of the metric; each growth takes `delta_n`."""

    delta_p: float = Field(8.0, ge=0, le=100, description="percent forgiven when the trial is cheaper")
    delta_n: float = Field(8.0, ge=0, le=100, description="percent taken when the trial is dearer")
    rate: float = Field(2.0, gt=1, le=1e6)
    stress: float = Field(1.0, gt=0, le=1e6, description="factor on the reference cost")


class EnergyGoal(_Goal):
    """Energy of one inference in picojoules, by the Horowitz-style model."""

    kind: Literal["energy"] = "energy"
    profile: str = Field(
        "horowitz",
        max_length=100,
        description="energy table: horowitz (45 nm), 7nm, or horowitz-qkeras, which repeats what QKeras computes",
    )
    parameters_on_memory: MemoryPair = ("sram", "sram")
    activations_on_memory: MemoryPair = ("sram", "sram")
    min_sram_size: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        (0, 0), description="bits"
    )
    rd_wr_on_io: tuple[bool, bool] = (False, False)
    source_quantizers: Quantizer | None = Field(
        None, description="type of the input in trials; None: 8-bit fixed point"
    )
    reference_internal: Literal["fp16", "fp32", "int8"] = "int8"
    reference_accumulator: Literal["int16", "int32", "fp16", "fp32"] = "int32"
    trained_model: bool = Field(False, description="price powers of two by their distinct trained values")


BitsPart = Literal["parameters", "activations"]


class BitsGoal(_Goal):
    """Size of the model in bits: parameters and activations."""

    kind: Literal["bits"] = "bits"
    input_bits: int = Field(8, ge=1, le=64)
    output_bits: int = Field(8, ge=1, le=64)
    ref_bits: int = Field(8, ge=1, le=64)
    config: dict[str, tuple[BitsPart, ...]] = Field(
        {"default": ("parameters", "activations")},
        description="what counts, per layer class; `default` for classes not named",
    )
    accounting: Literal["corrected", "qtools"] = Field(
        "corrected", description="qtools: count as AutoQKeras does, layers it does not know as nothing"
    )


class CountGoal(_Goal):
    """A count that needs no energy table: bytes, MACs, bit operations (BOPs, EBOPs), peak activation memory in bits."""

    kind: Literal["bytes", "macs", "bops", "ebops", "peak_activation_bits"]


Goal = Annotated[EnergyGoal | BitsGoal | CountGoal, Field(discriminator="kind")]


# --- the rest ------------------------------------------------------------------------------------------------------


class FilterTuning(Frozen):
    """Whether widths (Dense units, Conv filters) are searched too, by multiples of 0.5, 0.75, 1, 1.5, 2."""

    by: Literal["none", "layer", "block"] = Field("none", description="block: one multiple for all layers")
    exceptions: tuple[str, ...] = Field(
        (), description="patterns (whole name) of layers that keep their width"
    )

    @field_validator("exceptions")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_pattern(pattern) for pattern in value)


class LayerSelection(Frozen):
    """Which layers the limits apply to: all, unless indexes (into the model's layers, input included) are given."""

    indexes: tuple[int, ...] | None = None


class Budget(Frozen):
    """When the search ends: after `trials` trials, before more than `epochs` epochs are trained in all of them
    together (in every execution), or when `seconds` have passed since the job started. What is never trained costs
    nothing.
    """

    trials: int = Field(20, ge=1, le=100_000)
    epochs: int | None = Field(None, ge=1)
    seconds: float | None = Field(None, gt=0)


class SearchSpec(Frozen):
    """A search job."""

    name: str = Field("", max_length=MAX_NAME)
    model: Model
    data: Data = Field(default_factory=DigitsData)
    quantizers: QuantizationSpace = Field(default_factory=QuantizationSpace)
    limits: Limits
    goal: Goal = Field(default_factory=EnergyGoal)
    objective: ObjectiveSpec = Field(default_factory=Objective)
    oracle: OracleSpec = Field(default_factory=RandomOracleSpec)
    constraints: Constraints = Field(default_factory=Constraints)
    bound: BoundSpec = Field(default_factory=NoBound)
    stopping: StoppingSpec = Field(default_factory=NoStopping)
    post_training: PostTrainingSpec = Field(default_factory=NoPostTraining)
    schedule: ScheduleSpec = Field(default_factory=WholeModelSchedule)
    target: Literal["generic", "akida", "hls4ml", "xylo"] = Field(
        "generic", description="hardware or compiler whose rules every assignment must keep"
    )
    filters: FilterTuning = Field(default_factory=FilterTuning)
    layers: LayerSelection = Field(default_factory=LayerSelection)
    training: Training = Field(default_factory=Training)
    spiking: SpikingSpace = Field(
        default_factory=SpikingSpace, description="what is searched of a spiking network (model kind xylo)"
    )
    budget: Budget = Field(default_factory=Budget)
    parallel_trials: int = Field(2, ge=1, le=256, description="how many trials may be under way at once")
    priority: int = Field(
        0, ge=-100, le=100, description="trials of jobs with a higher one begin first, whoever came first"
    )
    seed: int = Field(1, ge=0, le=2**31 - 2)

    @model_validator(mode="before")
    @classmethod
    def _no_limits(cls, value: Any) -> Any:
        """A spiking network has no layers that limits could be about."""
        model = value.get("model") if isinstance(value, dict) else None
        if not (isinstance(model, dict) and model.get("kind") == "xylo"):
            return value
        return {"limits": {}, **value}

    @field_validator("limits")
    @classmethod
    def _something_to_do(cls, value: Limits, info: ValidationInfo) -> Limits:
        if value.is_empty and not isinstance(info.data.get("model"), XyloModel):
            raise ValueError("name at least one layer class or pattern, or nothing is quantized")
        return value

    @model_validator(mode="after")
    def _has_weights_to_look_at(self) -> SearchSpec:
        if not isinstance(self.post_training, NoPostTraining) and self.training.start == "scratch":
            raise ValueError(
                "post_training measures a trial with the float model's weights: set training.start to float or"
                " calibrated"
            )
        return self

    @model_validator(mode="after")
    def _one_stops(self) -> SearchSpec:
        if isinstance(self.oracle, HyperbandOracleSpec) and not isinstance(self.stopping, NoStopping):
            raise ValueError("hyperband ends trainings early by itself: leave stopping off")
        if isinstance(self.oracle, HyperbandOracleSpec) and self.training.executions > 1:
            raise ValueError(
                "hyperband continues trainings, and of several executions only the best is kept: leave"
                " training.executions at 1"
            )
        return self
