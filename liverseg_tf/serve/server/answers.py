"""The parts of requests and answers whose form MONAI Label's clients fix."""

import json
import secrets
from typing import Any

from fastapi.responses import Response

from liverseg_tf.serve.server.labels import MAX_INFO
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.models import Model
from liverseg_tf.serve.server.prediction import Prediction

_BINARY = "application/octet-stream"


def parse_params(text: str) -> dict[str, Any]:
    """Parse the parameters of a form, which are a JSON object.

    Raises:
        Refusal: If they are anything else.
    """
    try:
        params = json.loads(text or "{}")
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        raise Refusal(422, "Expected the parameters as a JSON object. Received something else.")
    return params


def check_params(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters that are kept, and repeated in later answers.

    Raises:
        Refusal: If JSON cannot express them (NaN, halves of characters), or they are too long.
    """
    try:
        text = json.dumps(params, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        raise Refusal(
            422, "Expected parameters without NaN, Infinity and broken characters. Received some."
        ) from None
    if len(text) > MAX_INFO:
        raise Refusal(422, f"Expected at most {MAX_INFO} characters of parameters. Received more.")
    return params


def describe_prediction(model: Model, prediction: Prediction, seconds: float) -> dict[str, Any]:
    """Return what viewers are told about the masks of an image.

    Args:
        model: Model that predicted them.
        prediction: The masks.
        seconds: Time that was needed.
    """
    agreement = prediction.masks.agreement or {}
    return {
        "label_names": prediction.label_names,
        "volumes_ml": prediction.volumes_ml(),
        "agreement": {name: value for name, value in agreement.items() if value is not None},
        "warnings": list(prediction.warnings),
        "model": model.name,
        "model_version": model.version,
        "fingerprint": model.predictor.fingerprint,
        "latencies": {"total": round(seconds, 3)},
    }


def multipart_answer(params: dict, content: bytes, file_name: str) -> Response:
    """Return parameters and a file as one form, from which the clients take both.

    Args:
        params: Values for JSON.
        content: Content of the file.
        file_name: Name of the file, of plain characters.
    """
    boundary = secrets.token_hex(16)
    parts = (
        ('name="params"', "application/json", json.dumps(params).encode()),
        (f'name="image"; filename="{file_name}"', _BINARY, content),
    )
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n"
        f"Content-Type: {kind}\r\n\r\n".encode()
        + value
        + b"\r\n"
        for name, kind, value in parts
    )
    return Response(
        body + f"--{boundary}--\r\n".encode(),
        media_type=f"multipart/form-data; boundary={boundary}",
    )


def file_answer(content: bytes, file_name: str, kind: str = _BINARY) -> Response:
    """Return a file.

    Args:
        content: Content of the file.
        file_name: Name of the file, of plain characters.
        kind: Media type.
    """
    headers = {"content-disposition": f'attachment; filename="{file_name}"'}
    return Response(content, media_type=kind, headers=headers)
