from pathlib import Path

import pytest

from liverseg_tf.ct.grid_correction import GridCorrection
from liverseg_tf.dataset.case_corrections import CaseCorrections
from liverseg_tf.dataset.cases import Case
from liverseg_tf.errors import SettingsError

CASES = [Case(f"volume-{n}", Path(f"volume-{n}.nii")) for n in (2, 27, 28, 29, 30)]


def corrected(**options):
    cases = CaseCorrections(**options).apply(CASES)
    assert [case.name for case in cases] == [case.name for case in CASES]
    return {case.name: case.correction for case in cases if case.correction is not None}


def test_names_are_patterns():
    assert corrected(orientations=["volume-2[89]=LPS"]) == {
        "volume-28": GridCorrection("LPS"),
        "volume-29": GridCorrection("LPS"),
    }


def test_options_are_combined_and_the_last_one_is_used():
    found = corrected(
        orientations=["volume-*=RAS", "volume-30=LPS"],
        spacings=["volume-30=0.7,0.7,1.5"],
        same_voxels=["volume-2"],
    )
    assert found["volume-30"] == GridCorrection("LPS", (0.7, 0.7, 1.5))
    assert found["volume-27"] == GridCorrection("RAS")
    assert found["volume-2"] == GridCorrection("RAS", same_voxels=True)


def test_no_correction_by_default():
    assert corrected() == {}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"orientations": ["volume-99=LPS"]}, "'volume-99'"),
        ({"same_voxels": ["2"]}, "'2'"),
        ({"orientations": ["volume-2"]}, "NAME=LPS"),
        ({"orientations": ["=LPS"]}, "NAME=LPS"),
        ({"orientations": ["volume-2=XYZ"]}, "'XYZ'"),
        ({"spacings": ["volume-2"]}, "NAME=0.7,0.7,1.5"),
        ({"spacings": ["volume-2=0.7"]}, "three spacings"),
        ({"spacings": ["volume-2=a,b,c"]}, "'a,b,c'"),
    ],
)
def test_invalid_corrections(options, word):
    with pytest.raises(SettingsError, match=r"^Expected .* Received") as caught:
        CaseCorrections(**options).apply(CASES)
    assert word in str(caught.value)
