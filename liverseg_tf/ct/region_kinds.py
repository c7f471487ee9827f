"""Which regions are single organs and which are lesions, as far as their names tell."""

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.snomed import ABNORMAL_STRUCTURE, ANATOMICAL_STRUCTURE, find_segment_code

# meanings of the SNOMED CT codes of organs that are one connected piece. Thin organs, of which a
# mask may have several pieces, are left out: pancreas, gallbladder, stomach, bowel and vessels.
_SINGLE = {"Liver", "Spleen", "Prostate", "Bladder", "Heart", "Brain"}
_SINGLE_ON_EACH_SIDE = {"Kidney", "Lung"}
_NO_ORGANS = {"Blood vessel", "Bone"}


def is_single_organ(regions: Regions, name: str) -> bool:
    """Return whether a region is an organ of which a patient has one, in one connected piece.

    Args:
        regions: All regions.
        name: Name of the region. The words of names are understood as for the codes of DICOM-SEG:
            "Left kidney" is a single organ and "kidneys" is not.
    """
    code = find_segment_code(regions, name)
    if code.category == ABNORMAL_STRUCTURE:
        return False
    _, organ = code.property_type
    return organ in _SINGLE or (organ in _SINGLE_ON_EACH_SIDE and code.laterality is not None)


def is_lesion(regions: Regions, name: str) -> bool:
    """Return whether a region consists of tumours or other lesions; a patient may have several.

    Args:
        regions: All regions.
        name: Name of the region.
    """
    return find_segment_code(regions, name).category == ABNORMAL_STRUCTURE


def nest_lesions(regions: Regions) -> Regions:
    """Add the labels of lesions to the only organ, as the presets liver and pancreas do.

    Regions of several organs are left as they are, since names do not tell whose lesions they are;
    so are vessels, and regions of unknown names.

    Args:
        regions: One region for each label.

    Example:
        >>> nest_lesions(Regions({"liver": (1,), "cancer": (2,)}))
        Regions(liver: 1, 2; cancer: 2)
    """
    lesions = [item for item in regions.items if is_lesion(regions, item[0])]
    organs = [item for item in regions.items if item not in lesions]
    if len(organs) != 1 or not lesions or not _is_organ(regions, organs[0][0]):
        return regions
    ((organ, labels),) = organs
    inside = {label for _, of in lesions for label in of} - set(labels)
    return Regions([(organ, (*labels, *sorted(inside))), *lesions])


def is_liver(regions: Regions, name: str) -> bool:
    """Return whether a region is the liver, as far as its name tells."""
    return find_segment_code(regions, name).property_type[1] == "Liver"


def _is_organ(regions: Regions, name: str) -> bool:
    code = find_segment_code(regions, name)
    return code.category == ANATOMICAL_STRUCTURE and code.property_type[1] not in _NO_ORGANS
