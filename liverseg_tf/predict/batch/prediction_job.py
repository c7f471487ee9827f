"""The settings of a prediction run over many images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.outputs.case_outputs import OutputFormats
from liverseg_tf.predict.segment_volume import Inference


@dataclass(frozen=True)
class PredictionJob:
    """Settings that apply to every image of a prediction run.

    Args:
        folder: Folder for the masks, `NAME.nii.gz`, and all other files.
        postprocessing: Post-processing of the masks. None applies the steps that were chosen on
            the model's validation cases.
        overrides: Post-processing steps that replace the steps of the same name.
        probabilities: Whether `probabilities/REGION/NAME.nii.gz` is written for each region.
        calibrated: Whether these probabilities are calibrated; see `liverseg trust`.
        inference: Options of the inference.
        force: Whether masks that are up to date are computed again.
        outputs: File formats, and whether measurements are written.
        accepted: Rules of the check of which errors are turned into warnings.
        form: The form to use if sform and qform of a NIfTI file disagree; see `read_volume`.
        precision: Precision that was asked for, in which the model predicts. None if it was chosen
            for the device.
        sides: Side of each case in the split of the model, as far as it is known; for the records
            beside the masks.
        only: Names of the regions that are written; all of them if it is empty.
    """

    folder: Path
    postprocessing: PostProcessing | None = None
    overrides: PostProcessing = PostProcessing()
    probabilities: bool = False
    calibrated: bool = False
    inference: Inference = Inference()
    force: bool = False
    outputs: OutputFormats = OutputFormats()
    form: str | None = None
    precision: str | None = None
    accepted: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    sides: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.calibrated:
            object.__setattr__(self, "probabilities", True)
