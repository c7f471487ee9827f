"""Which regions are single organs and which are lesions, as far as their names tell."""

from liverseg_tf.ct.regions import Regions
from liverseg_tf.predict.outputs.snomed import ABNORMAL_STRUCTURE, find_segment_code

# meanings of the SNOMED CT codes of organs that are one connected piece. Thin organs, of which a
# mask may have several pieces, are left out: pancreas, gallbladder, stomach, bowel and vessels.
_SINGLE = {"Liver", "Spleen", "Prostate", "Bladder", "Heart", "Brain"}
_SINGLE_ON_EACH_SIDE = {"Kidney", "Lung"}


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
    """Return whether a region is a tumour or another lesion, of which there may be several.

    Args:
        regions: All regions.
        name: Name of the region.
    """
    return find_segment_code(regions, name).category == ABNORMAL_STRUCTURE
