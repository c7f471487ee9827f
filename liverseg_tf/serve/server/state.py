"""How a route gets the state of the server."""

from typing import Annotated

from fastapi import Depends, Request

from liverseg_tf.serve.server.service import Service


def _service_of(request: Request) -> Service:
    return request.app.state.service


SharedService = Annotated[Service, Depends(_service_of)]
