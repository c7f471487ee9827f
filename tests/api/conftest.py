import shutil

import pytest


@pytest.fixture(scope="session")
def facade_folder(make_once, small_phantoms):
    """A folder with the data set `data`, its `store`, a CT, its mask and an untrained `run`."""

    def fill(folder):
        import keras

        from liverseg_tf.api.stores import cut_tiles
        from liverseg_tf.api.training import build_unet
        from liverseg_tf.ct.nifti import read_volume, write_volume
        from liverseg_tf.ct.orientation import to_canonical
        from liverseg_tf.ct.regions import LIVER_REGIONS
        from liverseg_tf.dataset.split import SplitRule
        from liverseg_tf.model.spec import NetworkSpec
        from liverseg_tf.tiles.spec import TileSpec
        from liverseg_tf.train.session.run_folder import RunFolder

        small_phantoms(folder / "data", 4)
        for kind, name in (("images", "ct"), ("labels", "mask")):
            volume = read_volume(folder / "data" / f"{kind}Tr" / "phantom_000.nii.gz")
            write_volume(folder / f"{name}.nii.gz", to_canonical(volume))
        spec = TileSpec(spacing_mm=6, tile_shape=(64, 64))
        store = cut_tiles(folder / "data", folder / "store", spec, SplitRule(0.25, 0.25))
        run = RunFolder.create(folder / "run")
        run.write_record(
            NetworkSpec(spec, LIVER_REGIONS, 1, 4), store={"split": store.split}, result={}
        )
        keras.utils.set_random_seed(0)
        run.save_model(build_unet(base_filters=2, depth=2))

    return make_once("facade", fill)


@pytest.fixture
def beside_data(facade_folder, tmp_path, monkeypatch):
    """Work in a copy of `facade_folder`."""
    shutil.copytree(facade_folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
