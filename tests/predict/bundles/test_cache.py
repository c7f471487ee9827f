import pytest
from bundles import make_folder, zip_folder

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.bundles import cache as cache_module
from liverseg_tf.predict.bundles import locate
from liverseg_tf.predict.bundles.cache import cache_folder, find_bundle, list_bundles
from liverseg_tf.predict.bundles.locate import locate_default_model, locate_model


@pytest.fixture(autouse=True)
def packaged(tmp_path, monkeypatch):
    """The folder of packaged models, which is empty at first."""
    folder = tmp_path / "packaged"
    folder.mkdir()
    monkeypatch.setattr(cache_module, "PACKAGED", folder)
    monkeypatch.setattr(locate, "PACKAGED", folder)
    return folder


def test_the_folder_of_the_cache(tmp_path, monkeypatch):
    assert cache_folder({"LIVERSEG_CACHE": str(tmp_path)}) == tmp_path
    assert cache_folder({}).parts[-2:] == ("data_cache", "models")  # of this checkout
    monkeypatch.setattr(cache_module, "_PACKAGE", tmp_path / "site-packages" / "liverseg_tf")
    monkeypatch.setattr(cache_module.sys, "platform", "linux")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}).as_posix() == "/x/liverseg_tf/models"
    assert cache_folder({}).parts[-3:] == (".cache", "liverseg_tf", "models")


def test_names_stand_for_packaged_models_first(packaged, tmp_path):
    assert list_bundles() == []
    cached = locate_model(zip_folder(make_folder(tmp_path / "a"), tmp_path / "a.zip"))
    assert locate_model("tiny").path == cached.path
    make_folder(packaged / "tiny")
    assert locate_model("tiny").path == packaged / "tiny"
    key = cached.path.parent.name
    assert locate_model(f"tiny@{key[:8]}").path == cached.path
    assert [(one.place, one.key) for one in list_bundles()] == [("packaged", ""), ("cached", key)]
    make_folder(packaged / "damaged", "damaged", kind="other")
    assert len(list_bundles()) == 2


def test_a_name_of_several_cached_models_is_refused(tmp_path):
    for number in (1, 2):
        folder = make_folder(tmp_path / f"{number}", version=f"{number}")
        locate_model(zip_folder(folder, tmp_path / f"{number}.zip"))
    with pytest.raises(LiverSegError, match="the name of several: tiny@"):
        find_bundle("tiny")
    assert find_bundle("other") is None


def test_an_existing_path_comes_before_a_name(packaged, tmp_path, monkeypatch):
    make_folder(packaged / "tiny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert str(locate_model("tiny").path) == "tiny"


def test_without_a_model_the_packaged_one_is_used_if_there_is_one(packaged):
    with pytest.raises(SettingsError, match=r"^Expected --model MODEL: this installation comes"):
        locate_default_model()
    make_folder(packaged / "abdomen-ct", "abdomen-ct")
    assert locate_model(locate_default_model()).bundle.name == "abdomen-ct"


def test_a_packaged_model_that_was_changed_is_refused(packaged):
    make_folder(packaged / "tiny")
    (packaged / "tiny" / "model.keras").write_bytes(b"other")
    with pytest.raises(LiverSegError, match=r"as it was packed.*\(model tiny\)"):
        locate_model("tiny")
