from dataclasses import replace

from liverseg_tf.dataset.provenance import MaskRecord
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.batch.origin import describe_origin, make_uid_seed
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.predict.outputs.case_outputs import OutputFormats
from liverseg_tf.predict.outputs.dicom_header import DicomHeader

MODEL = ModelIdentity("liver", "1", "abc")


def test_uids_follow_from_content_model_and_settings_not_from_files():
    record = MaskRecord({"source": {"digest": "1"}, "crop": True}, content="a")
    seed = make_uid_seed(record, MODEL)
    moved = replace(record, provenance={"source": {"digest": "2"}, "crop": True}, image="b")
    assert make_uid_seed(moved, MODEL) == seed
    assert make_uid_seed(replace(record, content="b"), MODEL) != seed
    assert make_uid_seed(replace(record, provenance={"crop": False}), MODEL) != seed
    assert make_uid_seed(record, replace(MODEL, name="other")) != seed


def test_the_header_of_results_is_part_of_the_origin(tmp_path):
    path = tmp_path / "a.nii"
    path.touch()

    def origin(**header):
        outputs = OutputFormats(header=DicomHeader(**header))
        return describe_origin(
            path, "f", PostProcessing(), PredictionJob(tmp_path, outputs=outputs)
        )

    assert {"source", "model", "postprocessing", "crop", "version"} == origin().keys()
    assert origin(series_description="A") != origin() != origin(series_number=5)
    assert origin(model=MODEL) == origin()


def test_a_precision_that_was_asked_for_is_part_of_the_origin(tmp_path):
    path = tmp_path / "a.nii"
    path.touch()
    origins = [
        describe_origin(path, "f", PostProcessing(), PredictionJob(tmp_path, precision=precision))
        for precision in (None, "float32", "bfloat16")
    ]
    assert [origin.get("precision") for origin in origins] == [None, "float32", "bfloat16"]
