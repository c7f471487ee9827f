"""The routes about images and labels: sessions and the data store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, File, Form, UploadFile
from fastapi.responses import FileResponse, Response

from liverseg_tf.ct.images import image_stem, read_image, read_label_image
from liverseg_tf.serve.server.answers import check_params, parse_params
from liverseg_tf.serve.server.label_meaning import find_meaning, on_image_grid
from liverseg_tf.serve.server.labels import FINAL, SUFFIX, SavedLabel
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.private_files import receive_image
from liverseg_tf.serve.server.service import Service
from liverseg_tf.serve.server.state import SharedService
from liverseg_tf.serve.server.studies import Source

router = APIRouter()


@router.put("/session/")
def create_session(
    service: SharedService,
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: int = 0,
) -> dict:
    """Keep an image for a while, for predictions."""
    folder = service.files.new_folder()
    try:
        received = [(file.filename or "", file.file) for file in files]
        source = receive_image(received, folder, uncompress)
        session = service.sessions.create(folder, source, expiry)
    except BaseException:
        service.files.remove(folder)
        raise
    return {"session_id": session.name, "session_info": session.to_json()}


@router.get("/session/{session_id}")
def get_session(service: SharedService, session_id: str, update_ts: bool = False) -> dict:
    """Return what is known of a session."""
    return service.sessions.get(session_id, touch=update_ts).to_json()


@router.delete("/session/{session_id}")
def remove_session(service: SharedService, session_id: str) -> dict:
    """End a session and remove its image."""
    return service.sessions.remove(session_id).to_json()


@router.get("/datastore/")
def datastore(service: SharedService, output: Literal["all", "train", "stats"] = "stats") -> Any:
    """Return the numbers, the list, or the corrected labels of the data store."""
    if output == "stats":
        return service.statistics()
    if output == "train":
        return [
            {"image": saved.image, "label": service.labels.path(saved).name}
            for saved in service.labels.with_tag(FINAL)
        ]
    objects = {}
    for name in service.studies.names():
        study = service.studies.get(name)
        labels = {
            tag: {"ext": SUFFIX, "info": _describe(saved)}
            for tag, saved in service.labels.of_image(name).items()
        }
        image = {"ext": study.suffix, "info": {"name": f"{name}{study.suffix}"}}
        objects[name] = {"image": image, "labels": labels}
    return {"name": "liverseg_tf", "description": "", "objects": objects}


@router.put("/datastore/")
@router.put("/datastore/image")
def add_image(
    service: SharedService,
    file: Annotated[UploadFile, File()],
    image: str = "",
    params: Annotated[str, Form()] = "{}",
) -> dict:
    """Keep an uploaded image."""
    parse_params(params)
    name = image or image_stem(Path(file.filename or "")) or ""
    with _received(service, file) as source:
        return {"image": service.studies.add(name, source).name}


@router.get("/datastore/image")
def download_image(
    service: SharedService, image: str, background_tasks: BackgroundTasks
) -> FileResponse:
    """Return an image as one file."""
    study = service.studies.get(image)
    folder = service.files.new_folder()
    background_tasks.add_task(service.files.remove, folder)
    path = service.studies.download(study, folder)
    return FileResponse(path, filename=f"{study.name}{study.suffix}")


@router.head("/datastore/image", include_in_schema=False)
def has_image(service: SharedService, image: str) -> Response:
    """Say whether there is such an image."""
    service.studies.get(image)
    return Response()


@router.get("/datastore/image/info")
def image_info(service: SharedService, image: str) -> dict:
    """Return what is known of an image."""
    return service.studies.get(image).describe()


@router.delete("/datastore/")
@router.delete("/datastore/image")
def remove_image(service: SharedService, id: str) -> dict:
    """Remove an uploaded image and its labels, of which the versions are kept."""
    name = service.studies.get(id).name
    service.studies.remove(name)
    for tag in service.labels.of_image(name):  # they would pass to the next image of this name
        service.labels.remove(name, tag)
    service.uncertainty.forget(name)
    return {}


@router.put("/datastore/label")
def save_label(
    service: SharedService,
    image: str,
    label: Annotated[UploadFile, File()],
    tag: str = FINAL,
    params: Annotated[str, Form()] = "{}",
) -> dict:
    """Save a corrected label; the earlier versions are kept."""
    info = _parse_info(params)
    study = service.studies.get(image)
    with _received(service, label) as source:
        if not isinstance(source, Path):
            raise Refusal(422, "Expected a label as NIfTI, MetaImage or NRRD. Received DICOM.")
        mask = read_label_image(source)
    meaning = find_meaning(mask.array, info.get("label_info"), service.models.labels())
    placed = on_image_grid(mask, read_image(study.source))
    saved = service.labels.save(study.name, tag or FINAL, placed, meaning, info)
    known = {name for model in service.models.all() for name in model.labels}
    notes = [
        f"No model knows the segment {name}: fine-tuning leaves this label out."
        for name in meaning
        if name not in known
    ]
    return {
        "image": study.name,
        "label": study.name,
        "version": saved.version,
        "labels": saved.labels,
        "warnings": notes,
    }


@router.get("/datastore/label")
def download_label(service: SharedService, label: str, tag: str) -> FileResponse:
    """Return the latest label of an image."""
    saved = service.labels.get(service.studies.get(label).name, tag)
    return FileResponse(service.labels.path(saved), filename=f"{saved.image}{SUFFIX}")


@router.head("/datastore/label", include_in_schema=False)
def has_label(service: SharedService, image: str, tag: str) -> Response:
    """Say whether an image has a label with this tag."""
    service.labels.get(service.studies.get(image).name, tag)
    return Response()


@router.delete("/datastore/label")
def remove_label(service: SharedService, id: str, tag: str) -> dict:
    """Remove the latest label of an image; all of its versions are kept."""
    service.labels.remove(service.studies.get(id).name, tag)
    return {}


@router.get("/datastore/label/info")
def label_info(service: SharedService, label: str, tag: str) -> dict:
    """Return what is known of the latest label of an image."""
    return _describe(service.labels.get(service.studies.get(label).name, tag))


@router.put("/datastore/label/info")
def update_label_info(
    service: SharedService, label: str, tag: str, info: Annotated[str, Form()] = "{}"
) -> dict:
    """Add entries to what is known of the latest label of an image."""
    name = service.studies.get(label).name
    return _describe(service.labels.update_info(name, tag, _parse_info(info)))


@router.put("/datastore/updatelabelinfo", include_in_schema=False)
def update_label_info_of_reviewer(
    service: SharedService, label: str, tag: str, params: Annotated[str, Form()] = "{}"
) -> dict:
    """Add entries to what is known of a label, in the form of Slicer's module for reviewers."""
    return update_label_info(service, label, tag, params)


def _describe(saved: SavedLabel) -> dict:
    return {
        **saved.info,
        "ts": int(saved.saved),
        "version": saved.version,
        "labels": saved.labels,
        "name": f"{saved.image}{SUFFIX}",
    }


def _parse_info(text: str) -> dict[str, Any]:
    return check_params(parse_params(text))


@contextmanager
def _received(service: Service, file: UploadFile) -> Iterator[Source]:
    with service.files.temporary_folder() as folder:
        yield receive_image([(file.filename or "", file.file)], folder)
