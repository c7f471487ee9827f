"""Every setting of a training run, with its default."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from liverseg_tf.choices import (
    DECAYS,
    DEFAULT_TRANSFORMS,
    ENCODERS,
    LOSSES,
    NORMALISATIONS,
    OPTIMIZERS,
    PATCH_SIZES,
)
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError
from liverseg_tf.model.region_masks import MAX_REGIONS
from liverseg_tf.model.spec import MAX_CONTEXT
from liverseg_tf.records import convert_record
from liverseg_tf.train.lesion_labels import check_lesions, check_lookalikes
from liverseg_tf.train.setting_rules import (
    between,
    describe_type,
    has_type,
    one_of,
    positive,
    stem_rule,
)
from liverseg_tf.train.transform_names import check_mirror, check_transforms, check_use

ENCODER_DEPTH = 5  # number of pooling levels of each of `choices.ENCODERS`
_DEFAULT_DEPTH = 4
AUXILIARY_WEIGHT = 0.5
_MANY = 1_000_000  # epochs, or steps of an epoch; more are a slip of the finger


@dataclass(frozen=True, repr=False)
class TrainSettings:
    """Settings of a training run; they are written into `run.json`.

    In a notebook, only the settings that differ from their default are shown.

    Raises:
        SettingsError: If a value is out of range or two settings exclude each other.

    Example:
        >>> TrainSettings(context=3, mirror=True)
        TrainSettings(context=3, mirror=True)
    """

    # what is learnt
    regions: Regions = LIVER_REGIONS
    auxiliary: Regions | None = None  # regions that are learnt, but neither validated nor saved
    auxiliary_weight: float = AUXILIARY_WEIGHT  # of their mean loss; that of the regions has 1
    context: int = 1  # number of slices in the network's input, odd
    context_spacing_mm: float | None = None  # between neighbouring input slices; None: adjacent
    init_from: str | None = None  # folder of a run whose weights are the initial weights

    # network
    base_filters: int = 16  # filters of the first level; doubled on each level, at most 512
    depth: int = _DEFAULT_DEPTH  # number of pooling levels; an encoder has its own
    patch: int = 1  # side in pixels of the patches that become one pixel of the first level
    stem_filters: int = 0  # filters of a skip connection at full resolution beside the patches
    residual: bool = False  # residual blocks
    attention: bool = False  # attention gates on the skip connections
    normalisation: str = "batch"
    dropout: float = 0.0  # dropout rate at the two lowest levels
    encoder: str | None = None  # known network that replaces the encoder path
    encoder_weights: str | None = None  # 'imagenet' or a file

    # duration
    epochs: int = 50
    steps_per_epoch: int = 100  # number of training batches
    minutes: float | None = None  # wall-clock budget that replaces the number of epochs
    patience: int | None = None  # validations without improvement before training stops

    # optimisation and data
    batch_size: int = 8  # tiles
    loss: str = "dice-topk"
    deep_supervision: int = 1  # number of outputs, at coarser and coarser levels, with a loss
    optimizer: str = "adamw"
    learning_rate: float | None = None  # maximum; None: the default of the optimizer
    decay: str = "cosine"  # schedule of the learning rate after the warm-up
    weight_decay: float = 1e-4
    clip_norm: float = 1.0  # maximum global gradient norm
    ema_decay: float = 0.99  # decay of the exponential moving average of the weights; 0: none
    foreground_fraction: float = 1 / 3  # fraction of a batch from slices that contain a region
    augment: float = 1.0  # strength of the data augmentation; 0: none
    transforms: tuple[str, ...] = DEFAULT_TRANSFORMS  # of the data augmentation
    mirror: bool = False  # left-right mirroring; only for anatomy without a fixed side
    synthetic_lesions: float = 0.0  # fraction of the patients in which lesions are drawn
    lookalikes: tuple[str, ...] = ()  # kinds of structures that look like lesions but are not
    cysts_are_lesions: bool = False  # whether cysts among the lookalikes count as lesions
    seed: int = 0

    def __post_init__(self) -> None:
        if self.init_from is not None:
            object.__setattr__(self, "init_from", str(self.init_from))
        object.__setattr__(self, "transforms", check_transforms(self.transforms))
        object.__setattr__(self, "lookalikes", check_lookalikes(self.lookalikes))
        self._check_types()
        self._check_ranges()
        self._check_combinations()

    def _check_types(self) -> None:
        """Check that each value has the type of its setting; a boolean is no number."""
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.type in (Regions, Regions | None):
                is_valid = isinstance(value, Regions) or (value is None and setting.default is None)
                name = "an object of class Regions"
            else:
                is_valid = has_type(value, setting.type)
                name = describe_type(setting.type)
            if not is_valid:
                raise SettingsError(f"Expected {setting.name} as {name}. Received {value}.")

    def _check_ranges(self) -> None:
        rules = {
            "auxiliary_weight": positive(self.auxiliary_weight, 10),
            "context": (
                1 <= self.context <= MAX_CONTEXT and self.context % 2 == 1,
                f"an odd number of slices from 1 to {MAX_CONTEXT}",
            ),
            "context_spacing_mm": positive(self.context_spacing_mm, 100),
            "base_filters": between(self.base_filters, 1, 512),
            "depth": between(self.depth, 1, 7),
            "patch": one_of(self.patch, PATCH_SIZES),
            "stem_filters": stem_rule(self.stem_filters, self.patch),
            "normalisation": one_of(self.normalisation, NORMALISATIONS),
            "dropout": (0 <= self.dropout < 1, "at least 0 and less than 1"),
            "encoder": one_of(self.encoder, (None, *ENCODERS)),
            "epochs": between(self.epochs, 1, _MANY),
            "steps_per_epoch": between(self.steps_per_epoch, 1, _MANY),
            "minutes": positive(self.minutes, _MANY),
            "patience": between(self.patience, 1, _MANY),
            "batch_size": between(self.batch_size, 1, 4096),
            "loss": one_of(self.loss, (*LOSSES, "custom")),  # custom: see `CustomParts`
            "deep_supervision": (
                1 <= self.deep_supervision <= self.levels,
                f"from 1 to the number of levels, {self.levels}",
            ),
            "optimizer": one_of(self.optimizer, OPTIMIZERS),
            "learning_rate": positive(self.learning_rate, 10),
            "decay": one_of(self.decay, DECAYS),
            "weight_decay": between(self.weight_decay, 0, 10),
            "clip_norm": positive(self.clip_norm, _MANY),
            "ema_decay": (0 <= self.ema_decay < 1, "at least 0 and less than 1"),
            "foreground_fraction": between(self.foreground_fraction, 0, 1),
            "augment": between(self.augment, 0, 3),
            "synthetic_lesions": between(self.synthetic_lesions, 0, 1),
            "seed": between(self.seed, 0, 2**32 - 1),
        }
        for name, (is_valid, rule) in rules.items():
            if not is_valid:
                raise SettingsError(f"Expected {name} {rule}. Received {getattr(self, name)}.")

    def _check_combinations(self) -> None:
        """Refuse settings that contradict each other or would have no effect together."""
        self._check_auxiliary()
        if self.encoder is None and self.encoder_weights is not None:
            raise SettingsError(
                "Expected an encoder together with encoder_weights. "
                f"Received {self.encoder_weights} without an encoder."
            )
        if self.encoder is not None:
            for name, value, usable in (
                ("dropout", self.dropout, (0,)),  # the encoder has no layers for it
                ("depth", self.depth, (_DEFAULT_DEPTH, ENCODER_DEPTH)),
            ):
                if value not in usable:
                    raise SettingsError(
                        f"Expected {name} {usable[-1]} together with the encoder {self.encoder}. "
                        f"Received {value}."
                    )
        if self.context == 1 and self.context_spacing_mm is not None:
            raise SettingsError(
                "Expected a context of at least 3 slices together with context_spacing_mm. "
                "Received a context of 1."
            )
        check_use(self.transforms, self.augment, self.context, self.regions)
        check_mirror(self.mirror, self.augment)
        check_lesions(self.synthetic_lesions, self.regions, self.lookalikes, self.cysts_are_lesions)

    def _check_auxiliary(self) -> None:
        if self.auxiliary is None:
            if self.auxiliary_weight != AUXILIARY_WEIGHT:
                raise SettingsError(
                    "Expected auxiliary regions together with auxiliary_weight. "
                    f"Received {self.auxiliary_weight} without auxiliary regions."
                )
            return
        names = {label: name for name, labels in self.regions.items for label in labels}
        for name, labels in self.auxiliary.items:
            for label in labels:
                if label in names:
                    raise SettingsError(
                        "Expected auxiliary regions that share no label with the regions. "
                        f"Received label {label} in {names[label]} and in {name}."
                    )
        if len(self.learnt_regions) > MAX_REGIONS:  # also refuses a name that is used twice
            raise SettingsError(
                f"Expected at most {MAX_REGIONS} regions and auxiliary regions together. "
                f"Received {len(self.learnt_regions)}."
            )

    def __repr__(self) -> str:
        changed = (f for f in fields(self) if getattr(self, f.name) != f.default)
        return f"TrainSettings({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"

    @property
    def learnt_regions(self) -> Regions:
        """The regions and after them the auxiliary regions: the channels of the training."""
        return self.regions.joined(self.auxiliary)

    @property
    def levels(self) -> int:
        """Number of pooling levels: the depth, or that of the encoder without its patches."""
        if self.encoder is None:
            return self.depth
        return ENCODER_DEPTH + 1 - self.patch.bit_length()

    @property
    def max_learning_rate(self) -> float:
        """Maximum learning rate, reached after the warm-up."""
        return self.learning_rate or {"adamw": 2e-3, "sgd": 1e-2}[self.optimizer]

    def to_json(self) -> dict:
        """Return the settings as a plain dictionary for `run.json`; see `from_json`."""
        auxiliary = None if self.auxiliary is None else self.auxiliary.to_json()
        return asdict(self) | {"regions": self.regions.to_json(), "auxiliary": auxiliary}

    @classmethod
    def from_json(cls, value: object) -> "TrainSettings":
        """Return the settings that `to_json` wrote; missing settings have their default.

        Raises:
            LiverSegError: If the value is not an object, and as the class.
        """
        record = convert_record(value, dict[str, Any], "the settings of a run")
        known = {field.name for field in fields(cls)}
        settings = {name: setting for name, setting in record.items() if name in known}
        settings["regions"] = Regions.from_json(record.get("regions"))
        if settings.get("auxiliary") is not None:
            settings["auxiliary"] = Regions.from_json(settings["auxiliary"])
        return cls(**settings)

    def differences(self, other: "TrainSettings") -> list[str]:
        """Return the names of the settings that differ between two runs."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]
