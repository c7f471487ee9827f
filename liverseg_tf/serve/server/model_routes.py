"""The routes about models: information, prediction, the next image and fine-tuning."""

import hashlib
import random
import secrets
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, File, Form, UploadFile
from fastapi.responses import JSONResponse, Response

from liverseg_tf import __version__
from liverseg_tf.dataset.cases import natural_sort_key
from liverseg_tf.serve.server.activity import pseudonym
from liverseg_tf.serve.server.answers import (
    check_params,
    describe_prediction,
    file_answer,
    multipart_answer,
    parse_params,
)
from liverseg_tf.serve.server.fine_tuning_task import DEFAULT_MINUTES
from liverseg_tf.serve.server.labels import FINAL, ORIGINAL
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.models import Model
from liverseg_tf.serve.server.prediction import (
    MaskForm,
    predict_image,
    write_dicom_seg,
    write_mask,
)
from liverseg_tf.serve.server.private_files import receive_image
from liverseg_tf.serve.server.service import Service
from liverseg_tf.serve.server.state import SharedService
from liverseg_tf.serve.server.studies import Study

router = APIRouter()
Output = Literal["image", "json", "all", "dicom_seg"]
Params = Annotated[dict[str, Any] | None, Body()]
_WAIT_S = 20.0  # for the agreement of all images


class ImageChoice:
    """The image of a request: by name, by session, or as a file.

    Args:
        image: Name of the image.
        session_id: Session.
        file: Uploaded file.
    """

    def __init__(
        self,
        image: str = "",
        session_id: str = "",
        file: Annotated[UploadFile | None, File()] = None,
    ):
        self.image, self.session_id, self.file = image, session_id, file


@router.get("/info/")
def info(service: SharedService) -> dict:
    """Return what the server offers."""
    models = service.models.all()
    trainers = service.fine_tuning.trainable()
    statistics = {task.model: task.statistics() for task in service.fine_tuning.tasks()}
    return {
        "name": "liverseg_tf",
        "description": "Segmentation with 2D U-Nets",
        "version": __version__,
        "labels": list(service.models.labels()),
        "models": {model.name: model.describe() for model in models},
        "trainers": {
            model.name: {
                "description": f"Fine-tuning of {model.name} on corrected labels",
                "config": {"minutes": DEFAULT_MINUTES},
            }
            for model in trainers
        },
        "strategies": _strategies(service),
        "scoring": {},
        "train_stats": {model.name: statistics.get(model.name, {}) for model in trainers},
        "datastore": service.statistics(),
    }


def _strategies(service: Service) -> dict[str, dict]:
    descriptions = {
        "random": "An image without a corrected label, at random",
        "first": "The first image without a corrected label",
    }
    if any(model.has_passes for model in service.models.all()):
        descriptions["uncertain"] = "The image on which the passes of the model agree least"
    return {name: {"description": text, "config": {}} for name, text in descriptions.items()}


@router.post("/infer/{model}")
def infer(
    service: SharedService,
    model: str,
    choice: Annotated[ImageChoice, Depends()],
    params: Annotated[str, Form()] = "{}",
    label: Annotated[UploadFile | None, File()] = None,
    output: Output = "all",
) -> Response:
    """Predict the masks of an image."""
    started = time.monotonic()
    chosen, settings = service.model(model), parse_params(params)
    if label is not None:
        raise Refusal(
            422, "Expected no label. Received one: the models take only an image (no scribbles)."
        )
    form = MaskForm.from_params(settings)
    with ExitStack() as held:
        folder = held.enter_context(service.files.temporary_folder())
        source, name = _find_source(service, choice, folder, held)
        with service.queue.turn() as on_slices:
            predictor = chosen.predictor_of_passes(settings.get("mirror") is True)
            prediction = predict_image(source, predictor, chosen.accepted, folder, on_slices)
            if output == "dicom_seg":
                path = write_dicom_seg(folder, prediction)
            elif output != "json":
                path = write_mask(folder, prediction, form)
        result = describe_prediction(chosen, prediction, time.monotonic() - started)
        service.activity.prediction(chosen.name, time.monotonic() - started)
        if settings.get("save_label") is True and name is not None:
            labels = prediction.labels
            service.labels.save(name, ORIGINAL, labels, chosen.labels, {"params": result})
        if output == "json":
            return JSONResponse(result)
        content, stem = path.read_bytes(), f"mask-{secrets.token_hex(8)}"
    if output == "dicom_seg":
        return file_answer(content, f"{stem}.dcm", "application/dicom")
    if output == "image":
        return file_answer(content, f"{stem}{form.extension}")
    return multipart_answer(result, content, f"{stem}{form.extension}")


def _find_source(service: Service, choice: ImageChoice, folder: Path, held: ExitStack):
    """Return the image of a request, and its name if the server lists it."""
    if choice.session_id:
        return held.enter_context(service.sessions.using(choice.session_id)).source, None
    if choice.file is not None:
        upload = folder / "upload"
        upload.mkdir()
        return receive_image([(choice.file.filename or "", choice.file.file)], upload), None
    study = service.studies.get(choice.image)
    return study.source, study.name


@router.post("/activelearning/{strategy}")
def next_image(service: SharedService, strategy: str, params: Params = None) -> dict:
    """Return the next image to correct; nothing if every image has a corrected label."""
    labelled = {saved.image for saved in service.labels.with_tag(FINAL)}
    names = [name for name in service.studies.names() if name not in labelled]
    entries: dict[str, Any] = {"strategy": strategy}
    if strategy not in ("random", "first", "uncertain"):
        raise Refusal(404, "Expected a strategy of random, first, uncertain. Received another one.")
    if not names:
        return {}
    if strategy == "random":
        name = random.choice(names)
    elif strategy == "first":
        name = min(names, key=natural_sort_key)
    else:
        asked = (params or {}).get("model")
        candidate = service.uncertainty.most_uncertain(_model_with_passes(service, asked), _WAIT_S)
        if candidate is None:
            raise Refusal(
                503, "Expected the agreement of at least one image. Received none yet.", 30
            )
        name = candidate.name
        entries |= {
            "agreement": candidate.agreement,
            "scored": candidate.scored,
            "total": candidate.total,
        }
    return {"id": name, **_describe_sample(service.studies.get(name)), **entries}


def _describe_sample(study: Study) -> dict[str, str]:
    """Describe an image so that 3D Slicer cannot take another one for it.

    Slicer keeps downloads by their name, and uses a kept file again unless its checksum differs.
    """
    entries = study.describe()
    if study.series_uid is not None:  # it is converted for the download
        entries["name"] = f"{study.name}-{pseudonym(study.series_uid)}{study.suffix}"
    elif isinstance(study.origin, Path) and study.origin.name.lower().endswith(study.suffix):
        with suppress(OSError), open(study.origin, "rb") as file:
            entries["checksum"] = f"SHA256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return entries


def _model_with_passes(service: Service, name: object) -> Model:
    models = [model for model in service.models.all() if model.has_passes]
    if isinstance(name, str):
        models = [model for model in models if model.name == name]
    if not models:
        raise Refusal(
            422,
            "Expected a model with several passes for the strategy uncertain: one that was trained "
            "with --mirror, or a cross-validation. Received none.",
        )
    return models[0]


@router.get("/train/")
def train_status(service: SharedService, all: bool = False, check_if_running: bool = False) -> Any:
    """Return the state of the latest fine-tuning, or of all of them."""
    tasks = service.fine_tuning.tasks()
    task = service.fine_tuning.running() if check_if_running else (tasks[-1] if tasks else None)
    if task is None:
        raise Refusal(404, "Expected a fine-tuning. Received a question about none that exists.")
    return [one.to_json() for one in tasks] if all else task.to_json()


@router.post("/train/")
def train_first(service: SharedService, params: Params = None) -> dict:
    """Fine-tune the first model that can be."""
    trainable = service.fine_tuning.trainable()
    if not trainable:
        raise Refusal(422, "Expected a model that can be fine-tuned. Received none: serve a run.")
    name = trainable[0].name
    sent = check_params(params or {})
    own = sent.get(name)
    request = own if isinstance(own, dict) else sent
    return {name: {"result": service.fine_tuning.start(name, request).to_json(), "detail": None}}


@router.post("/train/{model}")
def train(service: SharedService, model: str, params: Params = None) -> dict:
    """Fine-tune a model on the corrected labels."""
    return service.fine_tuning.start(
        service.model(model).name, check_params(params or {})
    ).to_json()


@router.delete("/train/")
def stop_training(service: SharedService) -> dict | None:
    """Stop the fine-tuning that runs."""
    task = service.fine_tuning.stop()
    return None if task is None else task.to_json()
