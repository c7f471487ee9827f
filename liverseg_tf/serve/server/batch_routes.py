"""The routes that predict many images in the background."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body

from liverseg_tf.serve.server.answers import check_params
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.state import SharedService

router = APIRouter()


@router.post("/batch/infer/{model}")
def start_batch(
    service: SharedService,
    model: str,
    images: Literal["all", "labeled", "unlabeled"] = "all",
    params: Annotated[dict[str, Any] | None, Body()] = None,
    run_sync: bool = False,
) -> dict:
    """Predict images while no viewer waits, and save the masks as labels."""
    if run_sync:
        raise Refusal(
            422, "Expected run_sync=false. Received true: ask for the state with GET /batch/infer."
        )
    return service.batch.start(service.model(model), images, check_params(params or {})).to_json()


@router.get("/batch/infer")
def batch_status(service: SharedService, all: bool = False, check_if_running: bool = False) -> Any:
    """Return the state of the latest batch, or of all of them."""
    tasks = service.batch.tasks()
    task = service.batch.running() if check_if_running else (tasks[-1] if tasks else None)
    if task is None:
        raise Refusal(404, "Expected a batch. Received a question about none that exists.")
    return [one.to_json() for one in tasks] if all else task.to_json()


@router.delete("/batch/infer")
def stop_batch(service: SharedService) -> dict | None:
    """Stop the batch that runs; the masks that are saved are kept."""
    task = service.batch.stop()
    return None if task is None else task.to_json()
