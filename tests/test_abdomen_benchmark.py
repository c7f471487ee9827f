"""The script that trains abdomen-ct and the benchmark that scores it, without a training."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_labels, read_volume, write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.bundle.card import SECTIONS, CardFacts, make_card

ROOT = Path(__file__).parents[1]
FACTS = CardFacts(
    *("abdomen-ct", "1.0", "CTs", "CC-BY-4.0", "", {"liver": 1}, "CT", {"train": 30}, {}, {})
)
SCRIPT = ROOT / "scripts" / "train_abdomen_ct.sh"


def run_script(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def data(tmp_path):
    for name in ("btcv", "crlm"):
        for kind in ("images", "masks"):
            folder = tmp_path / "data" / name / kind
            folder.mkdir(parents=True)
            for number in range(2):
                (folder / f"{name}{number:02}.nii.gz").touch()
    return tmp_path / "data"


def test_the_script_prints_its_commands(data, tmp_path):
    words = ("--dry-run", "--steps", 3000, data, tmp_path / "out", "--", "--base-filters", 8)
    done = run_script(*words)
    assert done.returncode == 0, done.stderr
    text = done.stdout.replace("\\", "")
    assert "1 portal venous CTs of the BTCV challenge and 2 of" in text  # btcv01 is left out
    words = [line.split() for line in done.stdout.splitlines()]
    stages = [line[3] for line in words if line[:3] == ["python", "-m", "liverseg_tf"]]
    assert stages == ["preprocess", "train", "pack"]
    train = next(line for line in words if "train" in line)
    assert train[train.index("--epochs") + 1] == "3"
    assert train[-2:] == ["--base-filters", "8"]  # the last one counts
    assert not (tmp_path / "out").exists()


def test_the_twin_learns_from_one_data_set_and_folds_make_no_bundle(data, tmp_path):
    done = run_script("--dry-run", "--without-crlm", "--crossval", 5, data, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "crlm" not in done.stdout
    assert "crossval" in done.stdout
    assert "pack" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "Expected two folders"),
        (("--steps", "many"), "Expected a whole number after --steps."),
        (("--steps", "1500", "DATA", "OUT"), "Expected a multiple of 1000 steps"),
        (("--mirror", "DATA", "OUT"), "There is no option --mirror."),
        (("no_such_folder", "OUT"), "Expected the folders images and masks in"),
    ],
)
def test_wrong_usage_is_one_line(data, arguments, expected):
    done = run_script(*(data if word == "DATA" else word for word in arguments))
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def abdomen(benchmarks):
    import abdomen_ct

    return abdomen_ct


def make_row(case, dice=0.9, part="folds", **values):
    scores = {"dice": dice, "nsd": 0.8, "hd95": None, "truth_ml": 100.0, "prediction_ml": 90.0}
    return {
        **{"part": part, "kind": "", "source": "BTCV", "case": case},
        **{"steps": 6000, "model": "0123456789ab"},
        **{"regions": [{"region": "liver", **scores}], "lesions": None},
        **{"warnings": [], "failure": None},
    } | values


def test_tables_hold_what_was_measured_and_name_no_case(abdomen):
    lesions = {
        "truths": [{"mm": 8.0, "found": False}, {"mm": 15.0, "found": True}],
        "predictions": [{"mm": 14.0, "true": True}, {"mm": 12.0, "true": False}],
    }
    empty = [{"region": "liver", "truth_ml": 0.0, "prediction_ml": 7.0, "dice": 0.0}]
    rows = [
        make_row("p1", 0.95, warnings=["clipped"]),
        make_row("p2", 0.91),
        make_row("p2", 0.8, "lesions", source="drawn", lesions=lesions),
        make_row("p1", 0.85, "stress", kind="noise", warnings=["clipped", "little agreement"]),
        make_row("p1", 0.9, "stress", kind="cut", warnings=["clipped"]),
        make_row("head", part="stress", kind="head", regions=empty),
        make_row("mr", part="stress", kind="MR", regions=[], failure="Expected HU."),
    ]
    text = abdomen.make_tables(rows)
    assert "| liver | 2 | 0.930 | 0.930 | 0.910 | 0.800 | inf mm | 10.0 % |" in text
    assert "| drawn | 1 | 0 of 1 | 1 of 1 | 0 of 0 | 1.00 (1 of 1) | 0.50 (1 of 2) | 1.0 |" in text
    assert "| noise | 1 | 0.850 | 0.850 | 0.950 |  | 1 of 1 |" in text
    assert "| cut | 1 | 0.900 | 0.900 | 0.950 |  | 0 of 1 |" in text
    assert "| head | 1 |  |  |  | 7 ml | 0 of 1 |" in text
    assert "| MR | 1 |  |  |  |  | 0 of 1, 1 refused |" in text
    assert "liver: p2 0.910, p1 0.950" in text
    tables, _ = text.split("Lowest Dice:")
    assert "p1" not in tables


def test_the_card_says_what_was_not_measured_and_has_every_section(abdomen, tmp_path):
    from abdomen.card import write_card

    path = tmp_path / "card.md"
    write_card(path, [])
    text = path.read_text("utf-8")
    assert text.count("This has not been measured yet.") == 4
    assert all(f"## {title}" in make_card(FACTS, text) for title in SECTIONS)
    write_card(path, [make_row("p1")])
    assert "(one network, 6,000 steps)" in path.read_text("utf-8")
    write_card(path, [make_row("p1"), make_row("p2", model="other")])
    assert "(2 networks, 6,000 steps each)" in path.read_text("utf-8")


def test_altered_copies_keep_image_and_mask_together(abdomen, tmp_path):
    from abdomen.altered import write_altered

    labels = np.zeros((40, 16, 16), np.uint8)
    labels[10:30, 4:12, 4:12] = 1
    hu = np.where(labels == 1, 100, -50).astype(np.int16)
    affine = np.diag([1.0, 1.0, 2.5, 1.0])
    image, mask = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    write_volume(image, Volume(hu, affine))
    write_labels(mask, Volume(labels, affine))
    found = dict(write_altered(tmp_path / "altered", image, mask, seed=0))
    assert len(found) == 6
    for kind, path in found.items():
        altered = read_volume(path)
        truth = read_labels(tmp_path / "altered" / "masks" / path.name)
        assert np.array_equal(altered.affine, truth.affine)
        if "noise" not in kind and "slices" not in kind:
            assert np.array_equal(altered.array == 100, truth.array == 1), kind
    thick = read_volume(found["slices of 5 mm"])
    assert thick.array.shape == (20, 16, 16)
    # the middle of the first thick slice lies between the first two slices
    assert thick.affine[2, 3] - read_volume(image).affine[2, 3] == pytest.approx(1.25)
