"""The models in the package itself. A checkout may come without them; then nothing is tested."""

import pytest

from liverseg_tf.model.bundle.bundle_record import CARD_FILE, LICENCE_FILE
from liverseg_tf.model.bundle.card import SECTIONS
from liverseg_tf.model.bundle.verify_bundle import verify_bundle
from liverseg_tf.predict.bundles.cache import PACKAGED

MAX_MB = 6.5  # what every installation downloads
FOLDERS = sorted(path for path in PACKAGED.iterdir() if path.is_dir())


def test_the_folder_holds_its_description_and_unpacked_bundles_only():
    assert {path.name for path in PACKAGED.iterdir() if path.is_file()} == {"README.md"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_packaged_model_is_complete_small_and_described(folder):
    record = verify_bundle(folder)
    assert record.name == folder.name
    assert {path.name for path in folder.iterdir()} == {"bundle.json", *record.members}
    assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_MB * 1e6
    card = (folder / CARD_FILE).read_text("utf-8")
    assert all(f"## {title}\n" in card for title in SECTIONS)
    assert "not been measured" not in card
    assert record.licence in (folder / LICENCE_FILE).read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_packaged_model_passes_its_self_test(folder):
    from liverseg_tf.predict.bundles.self_test import run_self_test
    from liverseg_tf.predict.models.run import RunPredictor

    run_self_test(folder, verify_bundle(folder), RunPredictor(folder))
