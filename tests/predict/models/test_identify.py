import pytest

from liverseg_tf.model.export_record import ExportRecord
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.models.ensemble import Ensemble, MirroredPredictor
from liverseg_tf.predict.models.predictor import identify


def test_models_are_identified(bright_is_liver):
    plain, named = bright_is_liver(), bright_is_liver()
    named.name, named.version, named.fingerprint = "liver", "3", "f" * 40
    assert identify(plain) == ModelIdentity("BrightIsLiver", "bright", "bright")
    assert identify(named) == ModelIdentity("liver", "3", "f" * 40)
    assert str(identify(MirroredPredictor(named))) == "liver 3"
    assert str(identify(Ensemble([named, plain]))) == "liver + BrightIsLiver 3 + bright"
    assert ModelIdentity("a", "", "f" * 40).version == "f" * 12
    assert ModelIdentity().version == "unknown"


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [("models/liver/7", "liver", "7"), ("liver.onnx", "liver", ""), ("models/liver", "liver", "")],
)
def test_exports_are_called_by_their_file_or_folder(path, name, version, tmp_path, bright_is_liver):
    if not path.endswith(".onnx"):
        (tmp_path / path).mkdir(parents=True)
    record = ExportRecord(tmp_path / path, bright_is_liver().network, PostProcessing(), "f")
    assert (record.name, record.version) == (name, version)
