"""SNOMED CT codes and display colours of regions, derived from their names."""

import re
from dataclasses import dataclass

from liverseg_tf.ct.regions import Regions

_CodedName = tuple[str, str, tuple[int, int, int]]  # SNOMED CT code, meaning, RGB
LATERALITIES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
ANATOMICAL_STRUCTURE = ("91723000", "Anatomical Structure")
ABNORMAL_STRUCTURE = ("49755003", "Morphologically Abnormal Structure")
_TISSUE = ("85756007", "Tissue")
_ORGANS: dict[str, _CodedName] = {  # by a word in the name of a region
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
_LESIONS: dict[str, _CodedName] = {
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
_IGNORED_WORDS = {"gland", "urinary", "whole", "organ"}
_UNKNOWN_COLOURS = ((128, 174, 128), (111, 184, 210), (177, 122, 101), (144, 144, 200))


@dataclass(frozen=True)
class SegmentCode:
    """The SNOMED CT codes and the colour of a region.

    Args:
        category: (code, meaning) of the segmented property category.
        property_type: (code, meaning) of the segmented property type: the organ, lesion or tissue.
        laterality: (code, meaning) of the side of the body, or None.
        anatomic_region: (code, meaning) of the organ that contains a lesion, or None.
        colour: RGB, each 0 to 255, as in 3D Slicer.
    """

    category: tuple[str, str]
    property_type: tuple[str, str]
    laterality: tuple[str, str] | None
    anatomic_region: tuple[str, str] | None
    colour: tuple[int, int, int]


def find_segment_code(regions: Regions, name: str) -> SegmentCode:
    """Find the codes of a region from the words of its name.

    Letter case, plurals and the separators between words are ignored: "Left kidney",
    "kidney_left" and "left-kidneys" have the same codes.

    Args:
        regions: All regions. If the name of a lesion contains no organ, the organ is a region that
            contains all labels of the lesion.
        name: Name of the region.

    Returns:
        Codes of an organ or a lesion. If the name contains neither, or has unknown words beside
        them, the region is a tissue: a "liver vein" is not the liver.
    """
    words = _known_words(name)
    laterality = next((LATERALITIES[word] for word in words if word in LATERALITIES), None)
    organ = _find_organ(words)
    lesion = next((_LESIONS[word] for word in words if word in _LESIONS), None)
    if lesion:
        code, meaning, colour = lesion
        site = organ or _find_surrounding_organ(regions, name)
        return SegmentCode(
            ABNORMAL_STRUCTURE, (code, meaning), laterality, site and site[:2], colour
        )
    if organ:
        code, meaning, colour = organ
        return SegmentCode(ANATOMICAL_STRUCTURE, (code, meaning), laterality, None, colour)
    colour = _UNKNOWN_COLOURS[regions.names.index(name) % len(_UNKNOWN_COLOURS)]
    return SegmentCode(_TISSUE, _TISSUE, laterality, None, colour)


def _known_words(name: str) -> list[str]:
    """Return the known words of a name, or an empty list if it contains an unknown word."""
    text = " ".join(re.findall(r"[^\W\d_]+", name.casefold())).replace("gall b", "gallb")
    vocabulary = {*_ORGANS, *_LESIONS, *LATERALITIES, *_IGNORED_WORDS}
    words = []
    for word in text.split():
        forms = [word, word.removesuffix("s"), word.removesuffix("es")]
        forms = [_SYNONYMS.get(form, form) for form in forms]
        known = [form for form in forms if form in vocabulary]
        if not known:
            return []
        words.append(known[0])
    return words


def _find_organ(words: list[str]) -> _CodedName | None:
    """Return the only organ, or the vessels if they belong to an organ; None for several organs."""
    organs = [word for word in words if word in _ORGANS]
    if not organs or (len(organs) > 1 and organs[-1] != "vessel"):
        return None
    return _ORGANS[organs[-1]]


def _find_surrounding_organ(regions: Regions, name: str) -> _CodedName | None:
    labels_of = dict(regions.items)
    surrounding = [other for other, labels in regions.items if set(labels_of[name]) < set(labels)]
    organs = [_find_organ(_known_words(other)) for other in surrounding]
    return next((organ for organ in organs if organ), None)
