import math

import pytest

from liverseg_tf.atomic import write_csv
from liverseg_tf.model.run_record import compute_model_checksum, write_run_record
from liverseg_tf.model.spec import NetworkSpec

SPLIT = {"train": ["a", "b"], "val": ["c", "d"], "test": []}


@pytest.fixture
def make_run():
    """A function: folder, scores and changes to a run as training writes it, with a false model."""
    return _make_run


def _make_run(folder, dice=(0.9, 0.5), finished=True, split=SPLIT, spec=None, **settings):
    folder.mkdir(parents=True)
    (folder / "model.keras").write_bytes(b"weights")
    scores = dict(zip(("liver", "tumour"), dice, strict=True))
    result = {
        **{"dice": scores, "validated_on": split["val"] or split["train"], "steps": 200},
        **{"seconds": 90.0, "checksum": compute_model_checksum(folder)},
    }
    write_run_record(
        folder,
        NetworkSpec() if spec is None else spec,
        "tensorflow",
        settings={"context": 1, "regions": {"liver": [1, 2], "tumour": [2]}, **settings},
        parameters=1000,
        hardware={"precision": "float32", "compiled": False, "device": "CPU (2 cores)"},
        store={"split": split, "checksums": {name: f"sum of {name}" for name in "abcd"}},
        **({"result": result} if finished else {}),
    )
    rows = [
        {"epoch": 1, "step": 100, "seconds": 40.0, "loss": 1.0, "dice_liver": math.nan},
        {"epoch": 2, "step": 200, "seconds": 90.0, "loss": 0.5, "dice_liver": dice[0]},
    ]
    rows = [row | {"dice_tumour": row["dice_liver"] * dice[1]} for row in rows]
    write_csv(folder / "log.csv", list(rows[0]), rows)
    return folder
