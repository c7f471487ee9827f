import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liverseg_tf.dataset.cases import natural_sort_key
from liverseg_tf.dataset.split import SplitRule, find_sides, split_cases, split_for_fold
from liverseg_tf.errors import SettingsError

SIDES = ("train", "val", "test")
PATIENTS = r"(p\d+)_scan\d"


def make_names(patients, scans):
    return [f"p{patient}_scan{scan}" for patient in range(patients) for scan in range(scans)]


rules = st.builds(
    SplitRule,
    validation=st.floats(0, 0.49),
    test=st.floats(0, 0.49),
    seed=st.integers(0, 10**6),
    patient=st.sampled_from([None, PATIENTS, r"^p\d+"]),
)


@given(st.integers(0, 30), st.integers(1, 4), rules, st.randoms())
@settings(max_examples=100, deadline=None)
def test_every_split(patients, scans, rule, rng):
    names = make_names(patients, scans)
    split = split_cases(names, rule)
    assert tuple(split) == SIDES
    everyone = [name for side in SIDES for name in split[side]]
    assert sorted(everyone) == sorted(names)
    assert split_cases(rng.sample(names, len(names)), rule) == split
    for side in SIDES:
        assert split[side] == sorted(split[side], key=natural_sort_key)
    if rule.patient:
        on_side = [{name.split("_")[0] for name in split[side]} for side in SIDES]
        assert sum(map(len, on_side)) == patients
    assert split["train"] or not names


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1))]
    + [(20, (14, 3, 3)), (100, (70, 15, 15))],
)
def test_sizes(count, sizes):
    split = split_cases([f"liver_{n}" for n in range(count)], SplitRule())
    assert tuple(len(split[side]) for side in SIDES) == sizes


def test_a_fraction_of_zero_gives_no_patients():
    split = split_cases(list("abcdefgh"), SplitRule(validation=0, test=0))
    assert split == {"train": list("abcdefgh"), "val": [], "test": []}


def test_fractions_count_patients_not_scans():
    names = ["a_1", *(f"b_{n}" for n in range(50)), "c_1", "d_1"]
    split = split_cases(names, SplitRule(0.25, 0.25, patient=r"^\w"))
    assert sorted(len({name[0] for name in split[side]}) for side in SIDES) == [1, 1, 2]


def test_splits_depend_on_the_seed():
    names = [f"liver_{n}" for n in range(30)]
    splits = [split_cases(names, SplitRule(seed=seed)) for seed in range(5)]
    assert splits[0] == split_cases(names, SplitRule(seed=0))
    assert len({tuple(split["test"]) for split in splits}) > 1


def test_names_that_differ_only_in_leading_zeros():
    names = ["case_1", "case_01", "case_001", "case_2"]
    assert split_cases(names, SplitRule()) == split_cases(names[::-1], SplitRule())


@pytest.mark.parametrize(
    "pattern",
    [r"(patient\d+)", r"(q)?p1", "^$"],
)
def test_an_expression_that_matches_no_patient(pattern):
    with pytest.raises(
        SettingsError, match=r"^Expected the patient expression .* p\d_scan0, .*\.$"
    ):
        split_cases(make_names(3, 1), SplitRule(patient=pattern))


def test_an_invalid_expression():
    with pytest.raises(SettingsError, match=r"Received '\(' \(missing"):
        SplitRule(patient="(")


@pytest.mark.parametrize(
    ("validation", "test"), [(-0.1, 0), (0, -0.1), (0.5, 0.5), (1, 0), (float("nan"), 0)]
)
def test_invalid_fractions(validation, test):
    with pytest.raises(SettingsError, match=r"^Expected fractions .* Received .*\.$"):
        SplitRule(validation, test)


@given(st.integers(2, 20), st.integers(1, 3), rules, st.integers(2, 8))
@settings(max_examples=100, deadline=None)
def test_folds_validate_every_case_once_and_no_patient_twice(patients, scans, rule, count):
    split = split_cases(make_names(patients, scans), rule)
    units = split["train"] + split["val"]
    if rule.patient:
        units = {name.split("_")[0] for name in units}
    if len(units) < count:
        with pytest.raises(SettingsError, match=f"Expected a fold of 2 to {len(units)}"):
            split_for_fold(split, rule, 1, count)
        return
    folds = [split_for_fold(split, rule, fold, count) for fold in range(1, count + 1)]
    validated = [name for fold in folds for name in fold["val"]]
    assert sorted(validated) == sorted(split["train"] + split["val"])
    sizes = []
    for fold in folds:
        assert fold["test"] == split["test"]
        assert sorted(fold["train"] + fold["val"]) == sorted(validated)
        assert fold["val"] == sorted(fold["val"], key=natural_sort_key)
        if rule.patient:
            sides = [{name.split("_")[0] for name in fold[side]} for side in ("train", "val")]
            assert not sides[0] & sides[1]
            sizes.append(len(sides[1]))
    if sizes:
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("fold", "count"), [(0, 3), (4, 3), (1, 1), (1, 7)])
def test_invalid_folds(fold, count):
    split = {"train": ["a", "b", "c", "d"], "val": ["e", "f"], "test": ["g"]}
    with pytest.raises(SettingsError, match=f"Received {fold} of {count}"):
        split_for_fold(split, SplitRule(), fold, count)


@given(st.integers(2, 30), st.integers(0, 20), st.integers(1, 3), rules)
@settings(max_examples=100, deadline=None)
def test_patients_keep_their_side_when_cases_are_added(patients, more, scans, rule):
    names, everyone = make_names(patients, scans), make_names(patients + more, scans + 1)
    before = split_cases(names, rule)
    after = split_cases(everyone, rule, None, find_sides(before, rule))
    for side in SIDES:
        assert set(before[side]) <= set(after[side])
    assert sorted(n for side in SIDES for n in after[side]) == sorted(everyone)
    assert after == split_cases(everyone[::-1], rule, None, find_sides(before, rule))


def test_new_patients_fill_the_sides_up_to_their_fractions():
    rule = SplitRule(0.2, 0.2)
    before = split_cases([f"case_{n}" for n in range(10)], rule)
    assert [len(before[side]) for side in SIDES] == [6, 2, 2]
    after = split_cases([f"case_{n}" for n in range(20)], rule, None, find_sides(before, rule))
    assert [len(after[side]) for side in SIDES] == [12, 4, 4]


def test_patients_that_the_files_name():
    names = [f"{patient}_{phase}" for patient in range(10) for phase in ("art", "ven")]
    patients = {name: f"PAT{name[0]}" for name in names}
    rule = SplitRule(0.3, 0.3)
    split = split_cases(names, rule, patients)
    assert [len(split[side]) for side in SIDES] == [8, 6, 6]
    for fold in range(1, 5):
        sides = split_for_fold(split, rule, fold, 4, patients)
        on_side = [{name[0] for name in sides[side]} for side in SIDES]
        assert sum(map(len, on_side)) == 10
    by_expression = SplitRule(0.3, 0.3, patient="^(.)_")  # the user knows better
    assert split_cases(names, by_expression, dict.fromkeys(names, "ANONYMOUS")) == split_cases(
        names, by_expression
    )


def test_a_patient_on_several_sides_goes_to_the_training_side():
    split = {"train": ["a_1"], "val": ["b_1"], "test": ["a_2", "b_2", "c_1"]}
    patients = {name: name[0] for names in split.values() for name in names}
    sides = find_sides(split, SplitRule(), patients)
    assert sides == {"a": "train", "b": "train", "c": "test"}
