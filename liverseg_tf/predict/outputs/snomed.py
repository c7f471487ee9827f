"""What a region is called in DICOM: codes of SNOMED CT, and a colour."""

import re
from dataclasses import dataclass

from liverseg_tf.ct.regions import Regions

SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
_STRUCTURE = ("91723000", "Anatomical Structure")
_ABNORMAL = ("49755003", "Morphologically Abnormal Structure")
_TISSUE = ("85756007", "Tissue")
_ORGANS = {  # words of a region's name: code, meaning, RGB
    "liver": ("10200004", "Liver", (221, 130, 101)),
    "spleen": ("78961009", "Spleen", (157, 108, 162)),
    "kidney": ("64033007", "Kidney", (185, 102, 83)),
    "pancreas": ("15776009", "Pancreas", (249, 180, 111)),
    "prostate": ("41216001", "Prostate", (230, 158, 140)),
    "gallbladder": ("28231008", "Gallbladder", (139, 150, 98)),
    "stomach": ("69695003", "Stomach", (216, 132, 105)),
    "duodenum": ("38848004", "Duodenum", (255, 253, 229)),
    "colon": ("71854001", "Colon", (204, 168, 143)),
    "oesophagus": ("32849002", "Esophagus", (211, 171, 143)),
    "bladder": ("89837001", "Bladder", (222, 154, 132)),
    "adrenal": ("23451007", "Adrenal gland", (249, 186, 150)),
    "lung": ("39607008", "Lung", (197, 165, 145)),
    "heart": ("80891009", "Heart", (206, 110, 84)),
    "atrium": ("59652004", "Atrium", (216, 101, 79)),
    "aorta": ("15825003", "Aorta", (224, 97, 76)),
    "brain": ("12738006", "Brain", (250, 250, 225)),
    "hippocampus": ("5366008", "Hippocampus", (228, 189, 201)),
    "vessel": ("59820001", "Blood vessel", (216, 101, 79)),
    "bone": ("272673000", "Bone", (241, 214, 145)),
}
_FINDINGS = {
    "tumour": ("108369006", "Neoplasm", (230, 230, 70)),
    "metastasis": ("14799000", "Neoplasm, Secondary", (230, 200, 60)),
    "lesion": ("52988006", "Lesion", (230, 215, 70)),
    "mass": ("4147007", "Mass", (230, 215, 70)),
    "cyst": ("367643001", "Cyst", (205, 205, 100)),
}
_SYNONYMS = {
    **dict.fromkeys(("tumor", "tumors", "cancer", "neoplasm", "carcinoma", "hcc"), "tumour"),
    **dict.fromkeys(("metastases", "mets"), "metastasis"),
    **{
        "l": "left",
        "r": "right",
        "renal": "kidney",
        "hepatic": "liver",
        "pancreatic": "pancreas",
        "esophagus": "oesophagus",
    },
}
_FILLERS = {"gland", "urinary", "whole", "organ"}
_UNKNOWN_COLOURS = ((128, 174, 128), (111, 184, 210), (177, 122, 101), (144, 144, 200))


@dataclass(frozen=True)
class SegmentCode:
    """What a region is.

    Args:
        category: (code, meaning) of SNOMED CT.
        kind: the same, of what the region shows.
        side: the same, or None.
        site: the organ that a finding lies in, or None.
        colour: RGB, 0 to 255, as 3D Slicer draws such organs.
    """

    category: tuple[str, str]
    kind: tuple[str, str]
    side: tuple[str, str] | None
    site: tuple[str, str] | None
    colour: tuple[int, int, int]


def find_segment_code(regions: Regions, name: str) -> SegmentCode:
    """What a region is, by the words of its name.

    Args:
        regions: of which the finding's organ is one that contains all of its labels, where the
            name itself says no organ.
        name: of the region. Case, plurals and what is between the words are ignored:
            "Left kidney", "kidney_left" and "left-kidneys" are alike.

    Returns:
        A tissue where the name says neither an organ nor a finding, or has words beside them
        that aren't known: a "liver vein" is no liver.
    """
    words = _words(name)
    side = next((SIDES[word] for word in words if word in SIDES), None)
    organ = _organ(words)
    finding = next((_FINDINGS[word] for word in words if word in _FINDINGS), None)
    if finding:
        *kind, colour = finding
        site = organ or _organ_around(regions, name)
        return SegmentCode(_ABNORMAL, tuple(kind), side, site and site[:2], colour)
    if organ:
        *kind, colour = organ
        return SegmentCode(_STRUCTURE, tuple(kind), side, None, colour)
    colour = _UNKNOWN_COLOURS[regions.names.index(name) % len(_UNKNOWN_COLOURS)]
    return SegmentCode(_TISSUE, _TISSUE, side, None, colour)


def _words(name: str) -> list[str]:
    """The known words of a name; none at all where one is unknown."""
    spoken = " ".join(re.findall(r"[^\W\d_]+", name.casefold())).replace("gall b", "gallb")
    words = []
    for word in spoken.split():
        forms = [word, word.removesuffix("s"), word.removesuffix("es")]
        forms = [_SYNONYMS.get(form, form) for form in forms]
        known = [form for form in forms if form in {*_ORGANS, *_FINDINGS, *SIDES, *_FILLERS}]
        if not known:
            return []
        words.append(known[0])
    return words


def _organ(words: list[str]) -> tuple | None:
    """The one organ, or an organ's vessels; None for several."""
    organs = [word for word in words if word in _ORGANS]
    if not organs or (len(organs) > 1 and organs[-1] != "vessel"):
        return None
    return _ORGANS[organs[-1]]


def _organ_around(regions: Regions, name: str) -> tuple | None:
    labels = dict(regions.items)
    around = [other for other, of in regions.items if set(labels[name]) < set(of)]
    organs = [_organ(_words(other)) for other in around]
    return next((organ for organ in organs if organ), None)
