import pytest
from pydicom.sr.codedict import codes

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.predict.outputs import snomed
from liverseg_tf.predict.outputs.snomed import find_segment_code


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
def test_organs_have_their_codes(name, code):
    found = _find(name)
    assert found.kind[0] == code
    assert found.category[1] == "Anatomical Structure"
    assert found.site is None


def test_sides_are_told():
    assert _find("left kidney").side == ("7771000", "Left")
    assert _find("Kidneys-RIGHT").side == ("24028007", "Right")
    assert _find("kidney").side is None


def test_a_finding_lies_in_an_organ():
    tumour = find_segment_code(LIVER_REGIONS, "tumour")
    assert tumour.kind == ("108369006", "Neoplasm")
    assert tumour.category[1] == "Morphologically Abnormal Structure"
    assert tumour.site == ("10200004", "Liver")
    assert _find("kidney tumor").site == ("64033007", "Kidney")
    assert _find("cancer").site is None
    assert _find("liver metastases").kind[1] == "Neoplasm, Secondary"


@pytest.mark.parametrize("name", ["portal vein", "liver vein", "liver spleen", "lung lobe", "7"])
def test_a_name_is_an_organs_only_as_a_whole(name):
    assert _find(name).kind == ("85756007", "Tissue")


def test_unknown_regions_are_tissue_in_different_colours():
    regions = Regions({"PZ": (1,), "area 51": (2,)})
    one, other = (find_segment_code(regions, name) for name in regions.names)
    assert one.kind == other.kind == ("85756007", "Tissue")
    assert one.colour != other.colour


def test_codes_are_those_of_pydicoms_dictionary():
    known = {
        (code.value, code.meaning.casefold())
        for code in map(codes.SCT.__getattr__, codes.SCT.dir())
    }
    tables = [*snomed._ORGANS.values(), *snomed._FINDINGS.values(), *snomed.SIDES.values()]
    tables += [snomed._STRUCTURE, snomed._ABNORMAL, snomed._TISSUE]
    for code, meaning, *_ in tables:
        assert (code, meaning.casefold()) in known
