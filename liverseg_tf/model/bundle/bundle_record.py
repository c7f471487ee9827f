"""`bundle.json`: what a model bundle is, and the checksum of each of its other files."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.run_record import MODEL_FILE, RUN_FILE
from liverseg_tf.printable import printable
from liverseg_tf.records import read_record

BUNDLE_FILE = "bundle.json"
CARD_FILE = "README.md"  # the name under which model hubs show a card
LICENCE_FILE = "LICENSE.txt"
IMAGE_FILE = "self_test_image.nii.gz"
MASK_FILE = "self_test_mask.nii.gz"
MEMBERS = (RUN_FILE, MODEL_FILE, CARD_FILE, LICENCE_FILE, IMAGE_FILE, MASK_FILE)
KIND = "liverseg_tf model bundle"
FORMAT = 1
MAX_BYTES = 1 << 30  # of a bundle, and of what it holds
NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]"
VERSION_PATTERN = r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}"
NO_DEVICE = "For research and education: it is not a medical device."

Text = Annotated[str, Meta(min_length=1, max_length=2000)]


@dataclass(frozen=True)
class Member:
    """The size and the SHA-256 checksum of a file."""

    bytes: Annotated[int, Meta(ge=0, le=MAX_BYTES)]
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


@dataclass(frozen=True)
class SelfTest:
    """How closely the model must reproduce its own mask of the self-test's image.

    Args:
        min_dice: Lowest Dice of a region with the expected mask. Other processors and other
            versions of the libraries move single voxels at the borders.
        max_difference: Largest difference of a region's mean probability.
        probabilities: Expected mean probability of each region over the image.
    """

    min_dice: Annotated[float, Meta(ge=0.9, le=1)]
    max_difference: Annotated[float, Meta(ge=0, le=0.05)]
    probabilities: dict[str, Annotated[float, Meta(ge=0, le=1)]]


@dataclass(frozen=True)
class BundleRecord:
    """The contents of `bundle.json`.

    Args:
        kind: `KIND`.
        format: `FORMAT`.
        name: Name of the model: lower-case letters, digits, '.', '_' and '-'.
        version: Version of the model.
        trained_on: What the model was trained on, in a few words.
        licence: Licence of the model, such as CC-BY-4.0.
        attribution: Whom the licences of model and data ask to name; may be empty.
        regions: Names of the regions.
        modality: What the images are, CT or MR.
        weights: Type of the numbers in which the weights are stored.
        members: All other files of the bundle by their name.
        self_test: Tolerance of the self-test.
    """

    kind: str
    format: int
    name: Annotated[str, Meta(pattern=rf"\A{NAME_PATTERN}\Z")]
    version: Annotated[str, Meta(pattern=rf"\A{VERSION_PATTERN}\Z")]
    trained_on: Text
    licence: Annotated[str, Meta(min_length=1, max_length=200)]
    attribution: Annotated[str, Meta(max_length=2000)]
    regions: Annotated[list[str], Meta(min_length=1, max_length=16)]
    modality: Literal["CT", "MR"]
    weights: Literal["float16", "float32"]
    members: dict[str, Member]
    self_test: SelfTest

    def __str__(self) -> str:
        """Return one line: which model it is, what it was trained on, and what it is not."""
        trained_on = self.trained_on.strip().rstrip(".")
        return printable(
            f"{self.name} {self.version} ({', '.join(self.regions)} in {self.modality}), trained "
            f"on {trained_on}. {NO_DEVICE}"
        )

    def to_json(self) -> dict:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> "BundleRecord":
        """Read the record of an unpacked bundle. Its other files are not looked at.

        Raises:
            LiverSegError: If there is no record, or it is not that of a bundle of this format.
        """
        path = Path(folder) / BUNDLE_FILE
        if not path.is_file():
            raise LiverSegError(
                f"Expected a model bundle of `liverseg pack`. Received files without {BUNDLE_FILE}."
            )
        kind = read_record(path, _Kind)
        if (kind.kind, kind.format) != (KIND, FORMAT):
            raise LiverSegError(
                f"Expected a {KIND} of format {FORMAT}. Received a {printable(kind.kind)[:80]} of "
                f"format {kind.format}: it needs another version of liverseg_tf, or is damaged."
            )
        record = read_record(path, cls)
        if set(record.members) != set(MEMBERS):
            names = ", ".join(sorted(map(printable, record.members)))[:200]
            raise LiverSegError(
                f"Expected the files {', '.join(MEMBERS)} in {BUNDLE_FILE}. "
                f"Received {names or 'no files'}."
            )
        return record


def check_not_a_bundle(run: Path) -> None:
    """Check that a folder, of which a file is about to be changed, is not that of a bundle.

    Raises:
        SettingsError: If it is: its checksums would no longer fit.
    """
    if (Path(run) / BUNDLE_FILE).is_file():
        raise SettingsError(
            f"Expected a run that may be changed at {run}. Received a model bundle, which never "
            "changes: train from it, or tune the run from which it was packed."
        )


@dataclass(frozen=True)
class _Kind:
    kind: str = "JSON file of another kind"
    format: int = 0
