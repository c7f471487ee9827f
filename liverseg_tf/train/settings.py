"""Every setting of a training run, with its default."""

from dataclasses import asdict, dataclass, fields

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError

NORMALISATIONS = ("batch", "instance", "none")
LOSSES = ("dice-ce", "dice-topk", "focal-tversky")
OPTIMIZERS = ("adamw", "sgd")
DECAYS = ("cosine", "polynomial")


@dataclass(frozen=True)
class TrainSettings:
    """A flat list of settings, kept in the run."""

    # what is learned
    regions: Regions = LIVER_REGIONS
    context: int = 1  # slices the network sees at once, odd
    context_spacing_mm: float | None = None  # from one of them to the next; None: adjacent ones

    init_from: str | None = None  # folder of a run whose weights it begins with

    # the network
    base_filters: int = 16  # of the first level; doubled on each level, at most 512
    depth: int = 4  # levels of pooling
    patch: int = 1  # pixels along a side that are one pixel of the first level
    residual: bool = False  # blocks that add their input
    attention: bool = False  # gates on the skips
    normalisation: str = "batch"
    dropout: float = 0.0  # at the two lowest levels
    encoder: str | None = None  # a network of keras.applications in place of the way down
    encoder_weights: str | None = None  # 'imagenet', which Keras fetches, or a file

    # how long
    epochs: int = 50
    steps_per_epoch: int = 100  # batches from one validation to the next
    minutes: float | None = None  # wall clock, instead of epochs
    patience: int | None = None  # epochs without a better validation that end the run

    # how
    batch_size: int = 8  # tiles
    loss: str = "dice-topk"
    deep_supervision: int = (
        1  # outputs at coarser and coarser levels that learn too (deep supervision)
    )
    optimizer: str = "adamw"
    learning_rate: float | None = None  # at its peak; None: what suits the optimizer
    decay: str = "cosine"  # of the learning rate, after a warm-up
    weight_decay: float = 1e-4
    clip_norm: float = 1.0  # of all gradients together
    ema_decay: float = 0.99  # decay of the weights' running mean, which is what is kept; 0: none
    foreground_fraction: float = 1 / 3  # share of each batch drawn from slices that hold a region
    augment: float = 1.0  # strength; 0 shows the tiles as they are
    mirror: bool = False  # left and right too: only for organs that have no side
    seed: int = 0

    def __post_init__(self) -> None:
        if self.init_from is not None:
            object.__setattr__(self, "init_from", str(self.init_from))
        rules = {
            "context": (self.context >= 1 and self.context % 2 == 1, "an odd number of slices"),
            "context_spacing_mm": (
                self.context_spacing_mm is None or 0 < self.context_spacing_mm <= 100,
                "0 to 100 mm",
            ),
            "base_filters": (self.base_filters >= 1, "at least 1"),
            "depth": (1 <= self.depth <= 7, "from 1 to 7"),
            "patch": (self.patch in (1, 2, 4), "one of 1, 2, 4"),
            "normalisation": _one_of(self.normalisation, NORMALISATIONS),
            "dropout": (0 <= self.dropout < 1, "from 0 to less than 1"),
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
            "ema_decay": (0 <= self.ema_decay < 1, "from 0 to less than 1"),
            "foreground_fraction": (0 <= self.foreground_fraction <= 1, "from 0 to 1"),
            "augment": (0 <= self.augment <= 3, "from 0 to 3"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise SettingsError(f"Expected {name} {rule}. Received {getattr(self, name)}.")
        if self.encoder is not None and self.patch > 1:
            raise SettingsError(
                f"Expected patch 1 beside the encoder {self.encoder}. Received {self.patch}."
            )

    @property
    def peak_rate(self) -> float:
        """The highest learning rate."""
        return self.learning_rate or {"adamw": 2e-3, "sgd": 1e-2}[self.optimizer]

    def to_json(self) -> dict:
        """A plain dictionary for the run's record; `from_json` undoes it."""
        return asdict(self) | {"regions": self.regions.to_json()}

    @classmethod
    def from_json(cls, value: dict) -> "TrainSettings":
        """The settings that `to_json` wrote; those that it doesn't name have their default."""
        known = {field.name for field in fields(cls)}
        given = {name: setting for name, setting in value.items() if name in known}
        return cls(**given | {"regions": Regions.from_json(value["regions"])})

    def differences(self, other: "TrainSettings") -> list[str]:
        """Names of the settings that are not the same."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]


def _one_of(value: str, known: tuple[str, ...]) -> tuple[bool, str]:
    return value in known, f"one of {', '.join(known)}"
