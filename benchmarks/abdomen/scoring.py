"""Masks of one model and their scores, as rows of the file of results."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.atomic import read_json
from liverseg_tf.ct.images import read_label_image
from liverseg_tf.evaluate.metrics.lesion_detection import RegionLesions, sphere_diameter_mm
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import RegionResult, score_masks
from liverseg_tf.predict.batch.predict_cases import predict_cases
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.outputs.case_outputs import OutputFormats

TOLERANCE_MM = 2.0
TUMOUR = "tumour"
_SCORES = ("dice", "nsd", "hd95", "truth_ml", "prediction_ml")


@dataclass(frozen=True)
class Subject:
    """One image that is predicted.

    Args:
        part: Table to which it belongs: folds, external, lesions or stress.
        kind: What was done to the image; empty for images as they are.
        source: Where the image comes from, for readers.
        case: Name of the patient.
        image: CT.
        mask: Label map; None if there is none of the model's organs in the image.
        has_lesions: Whether the mask labels all tumours.
    """

    part: str
    kind: str
    source: str
    case: str
    image: Path
    mask: Path | None
    has_lesions: bool = False

    @property
    def identity(self) -> dict[str, str]:
        return {"part": self.part, "kind": self.kind, "source": self.source, "case": self.case}


def score_subject(subject: Subject, predictor: Predictor, folder: Path) -> dict:
    """Predict an image as `liverseg predict --measure` does, and score the mask.

    Returns:
        Row with the scores of each region, the lesions, and what the program warned of.
    """
    started = time.process_time()
    job = PredictionJob(folder, outputs=OutputFormats(("nifti",), measure=True))
    result = predict_cases({subject.case: subject.image}, predictor, job)
    row = {
        **subject.identity,
        "regions": [],
        "lesions": None,
        "warnings": list(result.warnings.get(subject.case, ())),
        "failure": result.failures.get(subject.case),
        "processor_s": round(time.process_time() - started, 1),
    }
    if row["failure"]:
        return row
    row["warnings"] += _describe_cut(folder / f"{subject.case}.json")
    found = read_label_image(folder / f"{subject.case}.nii.gz")
    truth = found.with_array(found.array * 0)
    if subject.mask is not None:
        truth = read_label_image(subject.mask)
    regions = predictor.network.regions
    scoring = Scoring(regions=regions, tolerance_mm=TOLERANCE_MM)
    for one in score_masks(subject.case, truth, found, regions, scoring):
        row["regions"].append(_region_row(one))
        if one.region == TUMOUR and subject.has_lesions and one.lesions is not None:
            row["lesions"] = _lesion_rows(one.lesions)
    return row


def _region_row(result: RegionResult) -> dict:
    scores = {name: _rounded(result.scores[name]) for name in _SCORES}
    return {"region": result.region, **scores}


def _lesion_rows(lesions: RegionLesions) -> dict:
    return {
        "truths": [
            {"mm": round(one.diameter_mm, 1), "found": one.detected[0.0], "half": one.detected[0.5]}
            for one in lesions.truths
        ],
        "predictions": [
            {"mm": round(sphere_diameter_mm(one.volume_ml), 1), "true": bool(one.overlapped)}
            for one in lesions.predictions
        ],
    }


def _describe_cut(path: Path) -> list[str]:
    """Say that the liver ends at the field of view, as the measurements do.

    The aorta leaves nearly every image, which says nothing about it.
    """
    cut = read_json(path)["regions"].get("liver", {}).get("cut_by")
    return [f"liver reaches the end of the field of view ({', '.join(cut)})"] if cut else []


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
