"""A search job as its user states it: frozen values, validated when they are created.

Plain Pydantic; nothing loads Keras. What depends on the model or the data (a pattern that matches no layer, shapes that
do not fit) is checked by `search.space.choices` and `search.data`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from search.spec.base import Frozen, kind_name
from search.spec.budget import Budget
from search.spec.continued import continued_fault
from search.spec.filters import FilterTuning, LayerSelection
from search.spec.goals import EnergyGoal, Goal
from search.spec.limits import MAX_NAME, Limits
from search.spec.objective import Objective, ObjectiveSpec
from search.spec.oracle import (
    BoundSpec,
    Constraints,
    NoBound,
    NoPostTraining,
    NoStopping,
    OracleSpec,
    PostTrainingSpec,
    RandomOracleSpec,
    StoppingSpec,
)
from search.spec.polish import NoPolish, PolishSpec, polish_fault
from search.spec.quantizers import TARGET_SPACES, QuantizationSpace
from search.spec.resources import Resources
from search.spec.schedule import ScheduleSpec, WholeModelSchedule
from search.spec.spiking import SpikingSpace, XyloModel
from search.spec.training import Training

#: What becomes of batch normalizations.
Normalization = Literal["fold", "quantize", "float"]


UPLOAD_ID: Final = "^[0-9a-f]{16}$"
SHA256: Final = "^[0-9a-f]{64}$"

_TEST_FRACTION: Final = "share of the examples that only the final report is measured on"


# --- model ---------------------------------------------------------------------------------------------------------


class ZooModel(Frozen):
    """A network that ships with fewbits; `fewbits models` lists them."""

    kind: Literal["zoo"] = "zoo"
    name: str = Field(examples=["digits_cnn", "mnist_convblock"], description="name of the network")
    dropout_rate: float | None = Field(
        None, ge=0, lt=1, description="rate of the network's Dropout layers; null: the network's default"
    )
    input_name: Literal["inputs", "input"] = Field(
        "inputs",
        description="name of the network's input; `input` in jobs of version 0.1, which hls4ml does not take",
    )


class ArchitectureModel(Frozen):
    """An architecture as Keras writes it (`json.loads(model.to_json())`), made of supported layers only."""

    kind: Literal["architecture"] = "architecture"
    config: dict[str, Any] = Field(description="the document that `model.to_json()` returns, as an object")


class UploadedModel(Frozen):
    """A model that was uploaded before; `fewbits upload` prints its id."""

    kind: Literal["uploaded"] = "uploaded"
    id: str = Field(pattern=UPLOAD_ID, description="id of the upload")
    sha256: str | None = Field(
        None, pattern=SHA256, description="SHA-256 of the file; filled in when the job is submitted"
    )
    weights: bool = Field(
        True,
        description="true: the float model takes the weights of the file, if it contains any; false: the float model is"
        " trained as `training` says",
    )


def _zoo_name(value: Any) -> Any:
    return {"kind": "zoo", "name": value} if isinstance(value, str) else value


#: A bare string selects the network of that name in the zoo.
Model = Annotated[
    ZooModel | ArchitectureModel | UploadedModel | XyloModel,
    Field(discriminator="kind"),
    BeforeValidator(_zoo_name),
]


# --- data ----------------------------------------------------------------------------------------------------------


PreprocessingName = Literal["auto", "none", "unit", "centered", "standard"]


class _DataOptions(Frozen):
    """Options of every data set."""

    validation_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the training part that is held out to measure trials; the search never trains on it",
    )
    split: Literal["stratified", "random"] = Field(
        "stratified",
        description="how parts are held out. stratified: each class at its share in every part, where targets are class"
        " numbers (of several outputs: the first that has them); random: without regard to classes",
    )
    train_samples: int | None = Field(
        None, ge=1, description="number of examples to train on, not counting validation; null: all"
    )
    targets: Literal["stored", "inputs"] = Field(
        "stored",
        description="stored: the targets of the data set; inputs: the examples themselves (autoencoders)",
    )
    target_scaling: Literal["none", "standard"] = Field(
        "none",
        description="scaling of numeric targets. standard: subtract the mean of the training part and divide by its"
        " standard deviation, element by element; losses and metrics are then in these units",
    )
    preprocessing: PreprocessingName | dict[str, PreprocessingName] = Field(
        "auto",
        description="preprocessing of the examples, or of each input by its name. auto: decided from network and data,"
        " as the dry run says; unit: divide by the largest possible value; centered: subtract the mean of the training"
        " part, then divide as unit; standard: subtract the mean of each feature and divide by its standard deviation,"
        " both of the training part",
    )


class DigitsData(_DataOptions):
    """scikit-learn's 1,797 images of handwritten digits, 8x8 pixels each; ships with fewbits."""

    kind: Literal["digits"] = "digits"
    test_fraction: float = Field(0.2, gt=0, lt=1, description=_TEST_FRACTION)


class MnistData(_DataOptions):
    """MNIST in the format of `keras.datasets`: `mnist.npz` in the server's data folder (FEWBITS_DATA_DIR)."""

    kind: Literal["mnist"] = "mnist"


class DiabetesData(_DataOptions):
    """scikit-learn's diabetes data: 442 patients, 10 features each; the target is disease progression (25 to 346)."""

    kind: Literal["diabetes"] = "diabetes"
    features: Literal["raw", "scikit-learn"] = Field(
        "raw",
        description="raw: as they were measured; scikit-learn: centred and scaled with all 442 patients, those of the"
        " test part among them, as jobs of version 0.1",
    )
    test_fraction: float = Field(0.2, gt=0, lt=1, description=_TEST_FRACTION)


class SpikingDigitsData(_DataOptions):
    """scikit-learn's digits 0 to 7 as events of 16 inputs.

    Each input is the mean of 2x2 pixels and fires at even intervals, at most once per step. The images that trained the
    network `spiking_digits` are left out.
    """

    kind: Literal["spiking_digits"] = "spiking_digits"
    steps: int = Field(32, ge=1, le=1000, description="time steps of an example")
    test_fraction: float = Field(0.3, gt=0, lt=1, description=_TEST_FRACTION)
    validation_fraction: float = Field(
        0.7,
        gt=0,
        lt=1,
        description="share of the examples outside the test part that trials are measured on; the others are simulated"
        " to price assignments",
    )
    preprocessing: Literal["auto", "none"] = Field("none", description="events are used as they are")


_StoredValidation = Literal["auto", "split", "stored"]

_VALIDATION: Final = (
    "validation part. auto: x_val and y_val (or x_validation and y_validation) of the file where it has them, else as"
    " split; split: a share of x_train, `validation_fraction`; stored: those of the file, which must have them"
)


class _FileOptions(_DataOptions):
    """Options of data that lie in files."""

    validation: _StoredValidation = Field("auto", description=_VALIDATION)
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description=f"{_TEST_FRACTION}, where the file has no x_test; held out before the validation part",
    )


class NpzData(_FileOptions):
    """A `.npz` file with x_train, y_train, x_test and y_test in the server's data folder (FEWBITS_DATA_DIR).

    With x_val and y_val as well if the validation part is not to be held out of the training part; without x_test (the
    others may then be called x and y) `test_fraction` is held out for the test. sample_weight_train, one number for
    each training example, weighs its loss. Class numbers may stand as one-hot rows.

    For a model with several inputs: x_train_NAME and x_test_NAME for each, where NAME is the input; with several
    outputs: y_train_NAME and y_test_NAME, where NAME is the layer of the output. Pickled arrays are refused.
    """

    kind: Literal["npz"] = "npz"
    file: str = Field(min_length=1, max_length=500, description="path relative to the data folder")
    validation_file: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="file of the validation part with x_val and y_val, or x and y; null: `validation` decides",
    )
    test_file: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="file of the test part with x_test and y_test, or x and y; null: those of `file`",
    )

    @model_validator(mode="after")
    def _uses_the_validation_file(self) -> NpzData:
        if self.validation_file is not None and self.validation == "split":
            raise ValueError("validation_file is not read with validation: split; leave one of them out")
        return self


class UploadedData(_FileOptions):
    """A `.npz` file that was uploaded before, with the arrays of `npz`; `fewbits upload` prints its id."""

    kind: Literal["uploaded"] = "uploaded"
    id: str = Field(pattern=UPLOAD_ID, description="id of the upload")
    sha256: str | None = Field(
        None, pattern=SHA256, description="SHA-256 of the file; filled in when the job is submitted"
    )


#: A bare string selects that kind with its defaults.
Data = Annotated[
    DigitsData | DiabetesData | MnistData | SpikingDigitsData | NpzData | UploadedData,
    Field(discriminator="kind"),
    BeforeValidator(kind_name),
]


# --- search --------------------------------------------------------------------------------------------------------


class SearchSpec(Frozen):
    """A search job."""

    name: str = Field("", max_length=MAX_NAME, description="a name to recognise the job by")
    model: Model = Field(description="the network to quantize")
    data: Data = Field(
        default_factory=DigitsData, description="the data that trials are trained and measured on"
    )
    quantizers: QuantizationSpace = Field(
        default_factory=QuantizationSpace, description="the candidates of each kind of tensor"
    )
    limits: Limits = Field(description="the layers to quantize, and the widest candidate of each")
    goal: Goal = Field(default_factory=EnergyGoal, description="the cost, and how the score weighs it")
    objective: ObjectiveSpec = Field(default_factory=Objective, description="the metric")
    inputs: Literal["quantized", "priced"] = Field(
        "quantized",
        description="what is done to the inputs of trials. quantized: the model has the input quantizer that is priced,"
        " `goal.source_quantizers` or one of 8 bits (`goal.input_bits` of the goal bits) that holds the range of the"
        " data; priced: inputs stay float and are only priced so, AutoQKeras' way",
    )
    oracle: OracleSpec = Field(default_factory=RandomOracleSpec, description="how assignments are proposed")
    constraints: Constraints = Field(
        default_factory=Constraints, description="limits that every trial must satisfy"
    )
    bound: BoundSpec = Field(
        default_factory=NoBound, description="which trials are pruned because they cannot become the best"
    )
    stopping: StoppingSpec = Field(
        default_factory=NoStopping, description="which trainings are stopped early"
    )
    post_training: PostTrainingSpec = Field(
        default_factory=NoPostTraining, description="which trials are pruned by their metric before training"
    )
    polish: PolishSpec = Field(
        default_factory=NoPolish, description="whether bits are lowered once more after the last trial"
    )
    keep: Literal["all", "front"] = Field(
        "all",
        description="after the search: files of all trials stay, or only those of the front and what it starts from",
    )
    schedule: ScheduleSpec = Field(
        default_factory=WholeModelSchedule, description="the order in which parts of the model are searched"
    )
    target: Literal["generic", "akida", "hls4ml", "xylo"] = Field(
        "generic",
        description="hardware or compiler whose rules every assignment must satisfy; kinds of tensors that `quantizers`"
        " leaves out get candidates that it takes",
    )
    normalization: Normalization = Field(
        "fold",
        description="batch normalizations. fold: those that can be are folded into the layer before them, whose kernel"
        " and bias are then quantized as they run on hardware, and the others are quantized; quantize: all are"
        " quantized; float: all stay float unless `limits` name them, as in AutoQKeras",
    )
    filters: FilterTuning = Field(default_factory=FilterTuning, description="the search of layer widths")
    layers: LayerSelection = Field(
        default_factory=LayerSelection, description="the layers that `limits` applies to"
    )
    training: Training = Field(default_factory=Training, description="how each trial is trained")
    spiking: SpikingSpace = Field(
        default_factory=SpikingSpace, description="the space of a spiking network (model kind xylo)"
    )
    budget: Budget = Field(default_factory=Budget, description="when the search ends")
    parallel_trials: int = Field(2, ge=1, le=256, description="largest number of trials that run at once")
    priority: int = Field(0, ge=-100, le=100, description="trials of jobs with a higher priority start first")
    resources: Resources = Field(
        default_factory=Resources, description="what a worker must have, and the most that a trial gets"
    )
    seed: int = Field(
        1, ge=0, le=2**31 - 2, description="seed of the search, the data split and every training"
    )

    @model_validator(mode="before")
    @classmethod
    def _spiking_needs_no_limits(cls, value: Any) -> Any:
        """A spiking network has no layers that limits could apply to."""
        model = value.get("model") if isinstance(value, dict) else None
        if not (isinstance(model, dict) and model.get("kind") == "xylo"):
            return value
        return {"limits": {}, **value}

    @model_validator(mode="before")
    @classmethod
    def _candidates_of_the_target(cls, value: Any) -> Any:
        """Kinds of tensors that `quantizers` leaves out get candidates that the target takes."""
        target = value.get("target") if isinstance(value, dict) else None
        quantizers = value.get("quantizers", {}) if isinstance(value, dict) else None
        if not isinstance(target, str) or target not in TARGET_SPACES or not isinstance(quantizers, dict):
            return value
        model = value.get("model")
        if isinstance(model, dict) and model.get("kind") == "xylo":
            return value  # its space is `spiking`
        return {**value, "quantizers": {**TARGET_SPACES[target], **quantizers}}

    @field_validator("limits")
    @classmethod
    def _quantizes_a_layer(cls, value: Limits, info: ValidationInfo) -> Limits:
        if value.is_empty and not isinstance(info.data.get("model"), XyloModel):
            raise ValueError("name at least one layer class or pattern; otherwise nothing is quantized")
        return value

    @model_validator(mode="after")
    def _post_training_needs_weights(self) -> SearchSpec:
        if not isinstance(self.post_training, NoPostTraining) and self.training.start == "scratch":
            raise ValueError(
                "post_training measures a trial with the float model's weights: set training.start to float or"
                " calibrated"
            )
        return self

    @model_validator(mode="after")
    def _zeros_come_from_a_start(self) -> SearchSpec:
        if self.training.sparsity == "keep" and self.training.start == "scratch":
            raise ValueError(
                "training.sparsity keep keeps the zeros of the weights that a trial starts from: set training.start to"
                " float or calibrated"
            )
        return self

    @model_validator(mode="after")
    def _bounds_need_costs_before_training(self) -> SearchSpec:
        if self.goal.effective is not None and not isinstance(self.bound, NoBound):
            raise ValueError(
                "bound compares costs before training, and effective ones are known after it: set bound to off or"
                " leave out goal.effective"
            )
        return self

    @model_validator(mode="after")
    def _can_be_polished(self) -> SearchSpec:
        fault = polish_fault(self.polish, self.schedule)
        if fault is not None:
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _continued_trainings_are_whole(self) -> SearchSpec:
        fault = continued_fault(self.oracle, self.training, self.stopping, self.schedule, self.bound)
        if fault is not None:
            raise ValueError(fault)
        return self
