"""What is learnt: regions, the range of HU, and how long a training takes."""

from dataclasses import dataclass

from liverseg_tf.ct.regions import Regions

LIVER = Regions({"liver": (1, 2)})  # 2 is the tumour where a data set has one
ORGANS = Regions(
    {
        "liver": (1, 2),
        "spleen": (3,),
        "right kidney": (4,),
        "left kidney": (5,),
        "gallbladder": (6,),
        "oesophagus": (7,),
        "stomach": (8,),
        "aorta": (9,),
        "inferior vena cava": (10,),
        "portal and splenic vein": (11,),
        "pancreas": (12,),
        "right adrenal gland": (13,),
        "left adrenal gland": (14,),
    }
)
TASKS = {"liver": LIVER, "organs": ORGANS}


@dataclass(frozen=True)
class Task:
    """What every contestant learns.

    Args:
        name: One of `TASKS`.
        limits: Lowest and highest HU of the images, which is also the window.
        validation: Fraction of the training cases with which ours chooses the best model.
        preset: Preset of ours.
    """

    name: str = "liver"
    limits: tuple[float, float] = (-125, 275)
    validation: float = 0.1
    preset: str = "fast"

    @property
    def regions(self) -> Regions:
        return TASKS[self.name]

    @property
    def classes(self) -> list[str]:
        """Labels of each class, in the form that the scripts of the peers expect."""
        return [",".join(map(str, labels)) for _, labels in self.regions.items]


@dataclass(frozen=True)
class Length:
    """Length of a training.

    Args:
        epochs: Number of epochs, for contestants that have epochs.
        steps_per_epoch: Number of training steps of each.
    """

    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch
