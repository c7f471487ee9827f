import pytest
from pydicom.sr.codedict import codes

from liverseg_tf.ct import snomed
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.snomed import find_segment_code


def _find(name):
    return find_segment_code(Regions({name: (1,)}), name)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("liver", "10200004"),
        ("Spleen", "78961009"),
        ("left kidney", "64033007"),
        ("kidney_R", "64033007"),
        ("pancreas", "15776009"),
        ("prostate", "41216001"),
        ("hepatic vessels", "59820001"),
        ("urinary_bladder", "89837001"),
        ("Gall bladder", "28231008"),
        ("adrenal glands", "23451007"),
        ("kidney_2", "64033007"),
    ],
)
def test_codes_of_organs(name, code):
    found = _find(name)
    assert found.property_type[0] == code
    assert found.category[1] == "Anatomical Structure"
    assert found.anatomic_region is None


def test_codes_of_the_left_and_right_side():
    assert _find("left kidney").laterality == ("7771000", "Left")
    assert _find("Kidneys-RIGHT").laterality == ("24028007", "Right")
    assert _find("kidney").laterality is None


def test_codes_of_lesions_and_their_organs():
    tumour = find_segment_code(LIVER_REGIONS, "tumour")
    assert tumour.property_type == ("108369006", "Neoplasm")
    assert tumour.category[1] == "Morphologically Abnormal Structure"
    assert tumour.anatomic_region == ("10200004", "Liver")
    assert _find("kidney tumor").anatomic_region == ("64033007", "Kidney")
    assert _find("cancer").anatomic_region is None
    assert _find("liver metastases").property_type[1] == "Neoplasm, Secondary"


@pytest.mark.parametrize("name", ["portal vein", "liver vein", "liver spleen", "lung lobe", "7"])
def test_names_with_unknown_words_are_tissue(name):
    assert _find(name).property_type == ("85756007", "Tissue")


def test_unknown_regions_have_different_colours():
    regions = Regions({"PZ": (1,), "area 51": (2,)})
    one, other = (find_segment_code(regions, name) for name in regions.names)
    assert one.property_type == other.property_type == ("85756007", "Tissue")
    assert one.colour != other.colour


def test_codes_match_the_dictionary_of_pydicom():
    known = {
        (code.value, code.meaning.casefold())
        for code in map(codes.SCT.__getattr__, codes.SCT.dir())
    }
    tables = [*snomed._ORGANS.values(), *snomed._LESIONS.values(), *snomed.LATERALITIES.values()]
    tables += [snomed.ANATOMICAL_STRUCTURE, snomed.ABNORMAL_STRUCTURE, snomed._TISSUE]
    for code, meaning, *_ in tables:
        assert (code, meaning.casefold()) in known
