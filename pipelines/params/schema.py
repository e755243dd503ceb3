"""`params.yaml`: every knob of the workflow, documented where it is defined and validated before anything starts.

Each section of the file is a class below. A stage's `entries` say which entries of `families` the stage works
on. Settings of the training loop are given once, in `train.loop`; an entry of a stage may give its own in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Field, model_validator

from models.catalogue import family_class
from models.contract import FamilyConfig

from .data_section import Data, Digits
from .section import Section

PREPARED = "artifacts/prepare/summary.json"  # what the training of an entry that is not searched waits for


def searched(entry: str) -> str:
    """The file with the best parameters that the search of an entry found."""
    return f"artifacts/tune/{entry}/best.json"


class Loop(Section):
    """How the training loop runs. Steps are optimiser steps, never epochs."""

    steps: int = Field(default=2000, ge=1)
    """Optimiser steps of the whole training."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    """Examples per step over all workers together; `all` takes the whole training split (with several workers all
    but the rest that their number does not divide)."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly to its full value."""

    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """How the learning rate goes on after the warm-up; cosine and linear fall towards zero, which they would reach
    one step after the last."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Gradients of a player are scaled down to this Euclidean norm; null leaves them."""

    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay per step of the moving average of the weights, which is then validated and exported; 0 has none."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the forward and backward passes (bfloat16: automatic mixed precision)."""

    compile: bool = False
    """Compile the losses with torch.compile: pays on GPUs and long runs."""

    validate_every: int = Field(default=100, ge=1)
    """Steps between two validations; each adds a row to history.csv and may set a new best."""

    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between two checkpoints of the whole state."""

    patience: int | None = Field(default=None, ge=1)
    """Validations without a new best after which training stops early; null never stops."""

    explode_factor: float = Field(default=1e4, gt=1)
    """Training has diverged when a loss exceeds this many times max(1, its first value)."""

    rescues: int = Field(default=0, ge=0)
    """How often a training that diverges goes back to its last validated state and goes on with half the learning rate;
    then it stops with an error. With rescues, checkpoints are written after validations."""


class TrainEntry(Loop):
    """How one entry is trained on the data."""

    code: str
    """The file of the entry's family, which DVC watches: models/<file>.py."""

    after: str
    """What must be there first: the summary of `prepare`, or the best.json of the entry's search."""

    seed: int | None = Field(default=None, ge=0)
    """Seed of this entry's training; null is that of `train`. Entries that differ in nothing else are repetitions of
    one experiment: the report has their mean and its standard error."""


class Train(Section):
    """The trainings."""

    loop: Loop = Field(default_factory=Loop)
    """Settings of the training loop, for every training that does not give its own."""

    seed: int = Field(default=0, ge=0)
    """Seed of weights, order of examples and noise."""

    memory_limit: int = Field(default=4096, ge=1)
    """Mebibytes up to which a split is held on the device; a larger one is read from its file, batch by batch."""

    entries: dict[str, TrainEntry] = Field(default_factory=dict)
    """The entries that are trained by their own losses on the data."""


class Cluster(Section):
    """Where the work runs."""

    workers: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    """Data-parallel workers of a training: `auto` is one per GPU of the cluster, and without a GPU 0; 0 trains in
    the stage's own process; N are N Ray actors."""

    cpus_per_worker: int = Field(default=1, ge=1)
    """CPUs that Ray reserves for a worker, and the threads that it computes with."""

    gpus_per_worker: int = Field(default=1, ge=0)
    """GPUs that Ray reserves for a worker where the cluster has any; with 0 workers compute on CPUs."""

    address: str | None = None
    """Address of a running Ray cluster (host:port or ray://host:port); null starts one here. RAY_ADDRESS wins."""

    storage: str = ".genera"
    """Folder for checkpoints and search states, resumed from after a crash. Several nodes need a shared one."""


class Dimension(Section):
    """One searched parameter: a range (`low`, `high`, optionally `log`) or a list of `choices`."""

    low: float | None = None
    """Lowest value."""

    high: float | None = None
    """Highest value."""

    log: bool = False
    """Draw the logarithm uniformly."""

    choices: list[Any] | None = None
    """The values to choose from: numbers, names, true and false, null, or lists, whatever the parameter may be."""

    @model_validator(mode="after")
    def _one_kind(self) -> Dimension:
        bounds = (self.low, self.high)
        if (self.choices is None) == (bounds == (None, None)):
            raise ValueError("give either low and high, or choices")
        if self.choices is not None:
            if not self.choices:
                raise ValueError("choices must not be empty")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give both low and high")
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range needs low > 0")
        return self


class TuneEntry(Section):
    """The search of one entry."""

    code: str
    """The file of the entry's family, which DVC watches: models/<file>.py."""

    space: dict[str, Dimension] = Field(min_length=1)
    """The searched parameters of the entry's configuration. They must not be set under `families` too."""


def takes_integers(annotation: Any) -> bool:
    """Is a range of a parameter with this annotation one of integers? It may be null, too."""
    if get_origin(annotation) is Annotated:
        return takes_integers(get_args(annotation)[0])
    members = get_args(annotation) if isinstance(annotation, UnionType) or get_origin(annotation) is Union else ()
    return annotation is int or (float not in members and any(takes_integers(member) for member in members))


class Search(Section):
    """How parameters are searched: Optuna proposes, ASHA stops the weak, the validation objective decides."""

    trials: int = Field(default=6, ge=1)
    """Trials of each search."""

    steps: int = Field(default=400, ge=1)
    """Optimiser steps of a trial that is not stopped."""

    validate_every: int = Field(default=100, ge=1)
    """Steps between two validations of a trial; ASHA decides after each."""

    grace_steps: int = Field(default=100, ge=1)
    """Steps that every trial may run before it can be stopped; with as many as `steps` none is."""

    reduction_factor: float = Field(default=3, gt=1)
    """One in this many trials survives each rung of ASHA."""

    sampler: Literal["tpe", "random"] = "tpe"
    """Who proposes: `tpe` learns from earlier trials (tree-structured Parzen estimator), `random` draws each trial from
    the space alone."""

    max_concurrent: int = Field(default=1, ge=1)
    """Trials that run at once. With 1 a search is reproducible to the bit; with more it is faster, and its
    proposals depend on which trial ends first."""

    cpus_per_trial: int = Field(default=1, ge=1)
    """CPUs that Ray reserves for a trial, and the threads that it computes with."""

    gpus_per_trial: float = Field(default=0, ge=0)
    """GPUs that Ray reserves for a trial; may be a fraction."""

    seed: int = Field(default=0, ge=0)
    """Seed of the proposals and of every trial."""


class Tune(Section):
    """The searches."""

    search: Search = Field(default_factory=Search)
    """How every search is run."""

    entries: dict[str, TuneEntry] = Field(default_factory=dict)
    """The entries whose parameters are searched."""


class DistillLoss(Section):
    """What a student minimises: H(student, teacher) - entropy · H(student), and what is added to it."""

    entropy: float = Field(default=1.0, ge=0)
    """Weight of the student's entropy; with 1 the whole is KL(student ‖ teacher), with less samples are more likely and
    less diverse."""

    scale: float = Field(default=0.0, ge=0)
    """Weight of (log σ_student - log σ_teacher)², ClariNet's regulariser, for Gaussian conditionals."""

    power: float = Field(default=0.0, ge=0)
    """Weight of the distance between the power spectra of samples and of training examples, for sound."""

    contrastive: float = Field(default=0.0, ge=0)
    """Weight of the KL to the teacher's density of another class, which is maximised."""

    cover: float = Field(default=0.0, ge=0)
    """Weight of -log q of the teacher's own samples: no mode of the teacher may be left out. Each step then needs as
    many small steps as there are dimensions, twice; for tables that is worth it."""

    draws: int = Field(default=1, ge=1)
    """Draws of each number for each past, where the conditionals of teacher and student are known."""


class DistillEntry(Loop):
    """How one student is distilled from its teacher."""

    code: str
    """The file of the student's family, which DVC watches: models/<file>.py."""

    teacher: str
    """The entry, trained by `train`, that is imitated. It must be a density."""

    rescues: int = Field(default=3, ge=0)
    """As for every loop; students are known to diverge late."""

    loss: DistillLoss = Field(default_factory=DistillLoss)
    """What the student minimises."""

    warm_start_steps: int = Field(default=0, ge=0)
    """Steps in which the student first learns by heart what the teacher makes of the same noise: block by block where
    both are stacks of as many affine blocks in the same orders, such as a maf and an iaf of five blocks each."""


class Distill(Section):
    """Students: each minimises KL(student ‖ teacher) on its own samples. Only `power` compares them with the data."""

    seed: int = Field(default=0, ge=0)
    """Seed of weights and noise."""

    val_samples: int = Field(default=2048, ge=2)
    """Samples of the student on which each validation estimates the KL."""

    entries: dict[str, DistillEntry] = Field(default_factory=dict)
    """The entries that are distilled."""


class Classifier(Loop):
    """The small classifier whose features FID, precision, recall, density and coverage are measured in.

    Where the data has no labels, principal components take its place, as many as `feature_dimensions`, and the other
    settings have no meaning.
    """

    width: int = Field(default=32, ge=1)
    """Channels of its first convolution; the second has twice as many."""

    feature_dimensions: int = Field(default=32, ge=2)
    """Length of its feature vectors."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """Adam's step size."""


class Evaluate(Section):
    """What is measured about each finished entry."""

    samples: int = Field(default=2000, ge=2)
    """Samples of each model for FID, KID, precision, recall, density and coverage."""

    references: int = Field(default=5000, ge=2)
    """Test examples, evenly spread, that the samples are compared with, at most; time and memory grow with the
    square of it."""

    scored: Annotated[int, Field(ge=2)] | None = None
    """Test examples, evenly spread, whose likelihood is computed, at most; null scores all. A density that needs a
    pass per dimension can take minutes for a thousand."""

    neighbours: int = Field(default=5, ge=1)
    """k of the nearest-neighbour balls of precision, recall, density and coverage."""

    speed_batch: int = Field(default=256, ge=1)
    """Batch size of the speeds that the table shows."""

    small_batches: list[Annotated[int, Field(ge=1)]] = Field(default=[1, 16])
    """Further batch sizes at which speeds are measured."""

    speed_runs: int = Field(default=5, ge=1)
    """Timed runs, after one that is not counted; the median is reported. Where they take long, three are enough."""

    temperatures: list[Annotated[float, Field(gt=0)]] = Field(default=[0.5, 0.7, 0.9, 1.0, 1.2])
    """The temperatures at which the report shows the same noise."""

    inception: str | None = None
    """A file with the weights of the Inception network that the original FID uses, for images: quality is then measured
    in its features, and comparable with published numbers. Slow without a GPU. Null takes those of `classifier`."""

    foreign: str | None = None
    """A file (.npy) of examples of another data set, in the units and shape of this one, which densities should find
    less likely than test examples; null has those alone that need no file."""

    compile: bool = False
    """Compile the steps of samplers that go number by number with torch.compile: a minute more for each entry, and then
    faster on a GPU."""

    seed: int = Field(default=0, ge=0)
    """Seed of every sample and bound."""

    classifier: Classifier = Field(default_factory=Classifier)
    """The classifier of the `features` stage."""

    entries: dict[str, Literal["train", "distill"]] = Field(default_factory=dict)
    """The entries that are evaluated and compared, and the stage that makes each."""


class Register(Section):
    """How finished models enter the registry."""

    min_improvement: float = Field(default=0.0, ge=0)
    """The alias `champion` moves only if the validation metric is better than the champion's by more than this."""


class Params(Section):
    """The whole of params.yaml."""

    data: Data = Field(default_factory=Digits)
    """Which data is prepared, and how: the class of its `source` in data_params.py."""

    train: Train = Field(default_factory=Train)
    cluster: Cluster = Field(default_factory=Cluster)
    families: dict[str, dict[str, Any]]
    """The entries, a named experiment each: `model` is a family of the catalogue, the rest is its configuration."""

    tune: Tune = Field(default_factory=Tune)
    distill: Distill = Field(default_factory=Distill)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    register_: Register = Field(default_factory=Register, alias="register")

    @model_validator(mode="before")
    @classmethod
    def _inherit_loop_settings(cls, data: Any) -> Any:
        """Give every place that runs the training loop the settings of `train.loop` that it does not set itself."""
        if not isinstance(data, dict) or not isinstance(data.get("train"), dict):
            return data
        shared = data["train"].get("loop", {})
        if not isinstance(shared, dict):
            return data

        def inherit(section: Any) -> Any:
            return {**shared, **section} if isinstance(section, dict) else section

        data = dict(data)
        for stage in ("train", "distill"):
            section = data.get(stage)
            if isinstance(section, dict) and isinstance(section.get("entries"), dict):
                entries = {entry: inherit(value) for entry, value in section["entries"].items()}
                data[stage] = {**section, "entries": entries}
        if isinstance(data.get("evaluate"), dict):
            data["evaluate"] = {**data["evaluate"], "classifier": inherit(data["evaluate"].get("classifier", {}))}
        return data

    def train_seed(self, entry: str) -> int:
        """The seed that an entry is trained or distilled with."""
        if entry not in self.train.entries:
            return self.distill.seed
        own = self.train.entries[entry].seed
        return self.train.seed if own is None else own

    def model(self, entry: str) -> str:
        """The catalogue name of an entry's family."""
        return str(self.families[entry]["model"])

    def config(self, entry: str, found: Mapping[str, Any] | None = None) -> FamilyConfig:
        """The configuration of an entry, with the values that its search `found` if it had one."""
        values = {key: value for key, value in self.families[entry].items() if key != "model"}
        return family_class(self.model(entry)).Config(**{**values, **(found or {})})
