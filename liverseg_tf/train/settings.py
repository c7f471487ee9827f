"""Every setting of a training run, with its default."""

from dataclasses import asdict, dataclass

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class TrainSettings:
    """A flat list of settings, kept in the run."""

    # what is learned
    regions: Regions = LIVER_REGIONS
    context: int = 1  # slices the network sees at once, odd

    # the network
    base_filters: int = 16  # of the first level; doubled on each level, at most 512
    depth: int = 4  # levels of pooling; input lengths are multiples of 2**depth
    normalisation: str = "batch"  # batch, instance or none
    dropout: float = 0.0  # at the two lowest levels

    # how long
    epochs: int = 50
    steps_per_epoch: int = 100  # batches from one validation to the next
    minutes: float | None = None  # wall clock, instead of epochs

    # how
    batch_size: int = 8  # tiles
    learning_rate: float = 2e-3  # at its peak; AdamW, warm-up, then cosine to 0
    weight_decay: float = 1e-4
    foreground: float = 1 / 3  # share of each batch drawn from slices that hold a region
    augment: float = 1.0  # strength; 0 shows the tiles as they are
    mirror: bool = False  # left and right too: only for organs that have no side
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "context": (self.context >= 1 and self.context % 2 == 1, "an odd number of slices"),
            "base_filters": (self.base_filters >= 1, "at least 1"),
            "depth": (1 <= self.depth <= 7, "from 1 to 7"),
            "normalisation": (
                self.normalisation in ("batch", "instance", "none"),
                "batch, instance or none",
            ),
            "dropout": (0 <= self.dropout < 1, "from 0 to less than 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "steps_per_epoch": (self.steps_per_epoch >= 1, "at least 1"),
            "minutes": (self.minutes is None or self.minutes > 0, "above 0"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "foreground": (0 <= self.foreground <= 1, "from 0 to 1"),
            "augment": (0 <= self.augment <= 3, "from 0 to 3"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise SettingsError(f"Expected {name} {rule}. Received {getattr(self, name)}.")

    def to_json(self) -> dict:
        """A plain dictionary for the run's record."""
        return asdict(self) | {"regions": self.regions.to_json()}
