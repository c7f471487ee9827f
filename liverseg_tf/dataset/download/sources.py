"""The data sets that can be downloaded: address, checksum, licence and citation of each."""

from dataclasses import dataclass, replace

from liverseg_tf.errors import SettingsError

_MSD = "https://msd-for-monai.s3-us-west-2.amazonaws.com"
_KAGGLE = "https://www.kaggle.com/api/v1/datasets/download"
# MD5 checksums of MONAI's copies of the Decathlon, from monai/apps/datasets.py
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
    """A data set as an archive on a server.

    Args:
        name: Name of the data set on the command line.
        url: http or https URL of the archive.
        kind: Type of the archive, 'tar' or 'zip'.
        folder: Folder of the data set below the folder for downloads, with '/' between its parts.
        root: Folder in the archive that holds all files and is not extracted itself; '' if there
            is none.
        layout: Layout of the data set, as in `dataset.cases`.
        licence: Licence of the data.
        citation: Publications that the authors ask users to cite.
        md5: MD5 checksum of the archive as 32 hexadecimal digits. None if none is published.
        gigabytes: Approximate size of the archive in 10^9 bytes. None if it is unknown.
        kaggle: Whether the server requires the user's Kaggle credentials.
        note: Further information for the user.
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
    """Find a source by name, or a task of the Decathlon by its last word (liver, spleen).

    Args:
        name: Name in upper or lower case.

    Raises:
        SettingsError: If there is no such source.
    """
    for source in SOURCES.values():
        if name and name.lower() in (source.name.lower(), source.name.lower().partition("_")[2]):
            return source
    raise SettingsError(f"Expected one of {', '.join(SOURCES)}. Received {name!r}.")


def from_mirror(source: Source, url: str) -> Source:
    """Return the same archive at another URL, to which no credentials are sent."""
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
        note="Part 1 contains all masks and volumes 0 to 50, part 2 volumes 51 to 130: "
        "download both, and use the folder LiTS that holds them.",
    )


SOURCES = {
    source.name: source
    for source in (
        *map(_decathlon, _MSD_MD5),
        _lits(1, "andrewmvd/liver-tumor-segmentation"),
        _lits(2, "andrewmvd/liver-tumor-segmentation-part-2"),
    )
}
