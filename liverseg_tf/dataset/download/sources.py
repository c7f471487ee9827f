"""What can be downloaded: where it lies, how it is checked, and whose it is."""

from dataclasses import dataclass, replace

from liverseg_tf.errors import SettingsError

_MSD = "https://msd-for-monai.s3-us-west-2.amazonaws.com"
_KAGGLE = "https://www.kaggle.com/api/v1/datasets/download"
# MD5 of MONAI's copies of the Decathlon, as in monai/apps/datasets.py
_MSD_MD5 = {
    "Task01_BrainTumour": "240a19d752f0d9e9101544901065d872",
    "Task02_Heart": "06ee59366e1e5124267b774dbd654057",
    "Task03_Liver": "a90ec6c4aa7f6a3d087205e23d4e6397",
    "Task04_Hippocampus": "9d24dba78a72977dbd1d2e110310f31b",
    "Task05_Prostate": "35138f08b1efaef89d7424d2bcc928db",
    "Task06_Lung": "8afd997733c7fc0432f71255ba4e52dc",
    "Task07_Pancreas": "4f7080cfca169fa8066d17ce6eb061e4",
    "Task08_HepaticVessel": "641d79e80ec66453921d997fbf12a29c",
    "Task09_Spleen": "410d4a301da4e5b2f6f86ec3ddba524e",
    "Task10_Colon": "bad7a188931dc2f6acf72b08eb6202d0",
}
_MSD_LICENCE = "CC BY-SA 4.0"
_MSD_CITATION = (
    "Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 2022; "
    "Simpson et al., arXiv:1902.09063"
)
_LITS_LICENCE = "CC BY-NC-ND 4.0: not for commercial use, no derivatives"
_LITS_CITATION = (
    "Bilic et al., The Liver Tumor Segmentation Benchmark (LiTS), Medical Image Analysis 2023, "
    "arXiv:1901.04056"
)


@dataclass(frozen=True)
class Source:
    """An archive on a server that becomes a data set folder.

    Args:
        name: what a user asks for.
        url: of the archive, http or https.
        kind: 'tar' or 'zip'.
        folder: the data set's below the folder for downloads, '/' between parts.
        root: folder of the archive that holds everything and is left away; '' for none.
        layout: the data set's, as in `dataset.cases`.
        licence: of the data.
        citation: how the authors ask to be cited.
        md5: of the archive, 32 hexadecimal digits; None where nobody states one.
        gigabytes: of the archive, about, in 10^9 bytes; None where only the server knows.
        kaggle: whether the server wants the user's Kaggle credentials.
        note: what else a user has to know.
    """

    name: str
    url: str
    kind: str
    folder: str
    root: str
    layout: str
    licence: str
    citation: str
    md5: str | None = None
    gigabytes: float | None = None
    kaggle: bool = False
    note: str = ""


def find_source(name: str) -> Source:
    """The source of a name; of the Decathlon's tasks the last word will do (liver, spleen).

    Raises:
        SettingsError: when there is none.
    """
    for source in SOURCES.values():
        if name and name.lower() in (source.name.lower(), source.name.lower().partition("_")[2]):
            return source
    raise SettingsError(f"Expected one of {', '.join(SOURCES)}. Received {name!r}.")


def mirror(source: Source, url: str) -> Source:
    """The same archive from another address, which gets no credentials."""
    return replace(source, url=url, kaggle=False)


def _decathlon(task: str) -> Source:
    return Source(
        name=task,
        url=f"{_MSD}/{task}.tar",
        kind="tar",
        folder=task,
        root=task,
        layout="msd",
        licence=_MSD_LICENCE,
        citation=_MSD_CITATION,
        md5=_MSD_MD5[task],
        gigabytes=28.9 if task == "Task03_Liver" else None,
    )


def _lits(part: int, dataset: str) -> Source:
    return Source(
        name=f"lits-part{part}",
        url=f"{_KAGGLE}/{dataset}",
        kind="zip",
        folder=f"LiTS/part{part}",
        root="",
        layout="lits",
        licence=_LITS_LICENCE,
        citation=_LITS_CITATION,
        kaggle=True,
        note="All masks and volumes 0 to 50 are in part 1, volumes 51 to 130 in part 2: "
        "get both, and use the folder LiTS that holds them.",
    )


SOURCES = {
    source.name: source
    for source in (
        *map(_decathlon, _MSD_MD5),
        _lits(1, "andrewmvd/liver-tumor-segmentation"),
        _lits(2, "andrewmvd/liver-tumor-segmentation-part-2"),
    )
}
