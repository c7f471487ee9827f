"""Every setting of a training run, with its default."""

from dataclasses import asdict, dataclass, fields

from liverseg_tf.choices import DECAYS, LOSSES, NORMALISATIONS, OPTIMIZERS, PATCH_SIZES
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError


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
    context: int = 1  # number of slices in the network's input, odd
    context_spacing_mm: float | None = None  # between neighbouring input slices; None: adjacent

    init_from: str | None = None  # folder of a run whose weights are the initial weights

    # network
    base_filters: int = 16  # filters of the first level; doubled on each level, at most 512
    depth: int = 4  # number of pooling levels
    patch: int = 1  # side in pixels of the patches that become one pixel of the first level
    residual: bool = False  # residual blocks
    attention: bool = False  # attention gates on the skip connections
    normalisation: str = "batch"
    dropout: float = 0.0  # dropout rate at the two lowest levels
    encoder: str | None = None  # network of keras.applications that replaces the encoder path
    encoder_weights: str | None = None  # 'imagenet' (downloaded by Keras) or a file

    # duration
    epochs: int = 50
    steps_per_epoch: int = 100  # training batches between two validations
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
    mirror: bool = False  # left-right mirroring; only for anatomy without a fixed side
    seed: int = 0

    def __post_init__(self) -> None:
        if self.init_from is not None:
            object.__setattr__(self, "init_from", str(self.init_from))
        rules = {
            "context": (self.context >= 1 and self.context % 2 == 1, "an odd number of slices"),
            "context_spacing_mm": (
                self.context_spacing_mm is None or 0 < self.context_spacing_mm <= 100,
                "above 0 and at most 100",
            ),
            "base_filters": (self.base_filters >= 1, "at least 1"),
            "depth": (1 <= self.depth <= 7, "from 1 to 7"),
            "patch": _one_of(self.patch, PATCH_SIZES),
            "normalisation": _one_of(self.normalisation, NORMALISATIONS),
            "dropout": (0 <= self.dropout < 1, "at least 0 and less than 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "steps_per_epoch": (self.steps_per_epoch >= 1, "at least 1"),
            "minutes": (self.minutes is None or self.minutes > 0, "above 0"),
            "patience": (self.patience is None or self.patience >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "loss": _one_of(self.loss, LOSSES),
            "deep_supervision": (
                1 <= self.deep_supervision <= self.depth,
                f"from 1 to the depth, {self.depth}",
            ),
            "optimizer": _one_of(self.optimizer, OPTIMIZERS),
            "learning_rate": (self.learning_rate is None or self.learning_rate > 0, "above 0"),
            "decay": _one_of(self.decay, DECAYS),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "clip_norm": (self.clip_norm > 0, "above 0"),
            "ema_decay": (0 <= self.ema_decay < 1, "at least 0 and less than 1"),
            "foreground_fraction": (0 <= self.foreground_fraction <= 1, "from 0 to 1"),
            "augment": (0 <= self.augment <= 3, "from 0 to 3"),
        }
        for name, (is_valid, rule) in rules.items():
            if not is_valid:
                raise SettingsError(f"Expected {name} {rule}. Received {getattr(self, name)}.")
        if self.encoder is not None and self.patch > 1:
            raise SettingsError(
                f"Expected patch 1 together with the encoder {self.encoder}. Received {self.patch}."
            )

    def __repr__(self) -> str:
        changed = (f for f in fields(self) if getattr(self, f.name) != f.default)
        values = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in changed)
        return f"TrainSettings({values})"

    @property
    def max_learning_rate(self) -> float:
        """Maximum learning rate, reached after the warm-up."""
        return self.learning_rate or {"adamw": 2e-3, "sgd": 1e-2}[self.optimizer]

    def to_json(self) -> dict:
        """Return the settings as a plain dictionary for `run.json`; see `from_json`."""
        return asdict(self) | {"regions": self.regions.to_json()}

    @classmethod
    def from_json(cls, value: dict) -> "TrainSettings":
        """Return the settings that `to_json` wrote; missing settings have their default."""
        known = {field.name for field in fields(cls)}
        settings = {name: setting for name, setting in value.items() if name in known}
        return cls(**settings | {"regions": Regions.from_json(value["regions"])})

    def differences(self, other: "TrainSettings") -> list[str]:
        """Return the names of the settings that differ between two runs."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]


def _one_of(value: object, choices: tuple) -> tuple[bool, str]:
    return value in choices, f"one of {', '.join(map(str, choices))}"
