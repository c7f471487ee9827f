"""The application: routes, guards, and errors as one line."""

import asyncio
import re
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from liverseg_tf import __version__
from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable
from liverseg_tf.serve.server import access_routes, batch_routes, data_routes, model_routes
from liverseg_tf.serve.server.guards import Guards
from liverseg_tf.serve.server.limits import Refusal
from liverseg_tf.serve.server.service import Service

_EXPIRY_S = 15.0  # between two looks at the sessions


def create_app(service: Service) -> FastAPI:
    """Create the application of a server.

    Args:
        service: State of the server; it is closed when the application ends.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.uncertainty.start()
        expiry = asyncio.create_task(_remove_expired(service))
        yield
        expiry.cancel()
        service.close()

    app = FastAPI(
        title="liverseg_tf",
        description="Segmentation for 3D Slicer and OHIF, by the protocol of MONAI Label.",
        version=__version__,
        docs_url=None,  # its page loads scripts from another server
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    for routes in (model_routes, batch_routes, data_routes, access_routes):
        app.include_router(routes.router)
    app.add_middleware(Guards, service=service)
    if service.access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.access.origins),
            allow_methods=["GET", "PUT", "POST", "DELETE"],
            allow_headers=["*"],
        )

    # the private folder says nothing to a user
    private = re.compile(re.escape(str(service.files.folder)) + r"[^\s:,;)]*(?<!\.)")

    def answer(status: int, message: str, headers: dict | None = None) -> JSONResponse:
        line = " ".join(printable(private.sub("the upload", message)).split())
        return JSONResponse({"detail": line}, status, headers)

    @app.exception_handler(LiverSegError)
    def refuse(request: Request, error: LiverSegError) -> JSONResponse:
        if isinstance(error, Refusal):
            return answer(error.status, str(error), error.headers)
        return answer(422, str(error))

    @app.exception_handler(RequestValidationError)
    def refuse_form(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(map(str, first.get("loc", ())))
        return answer(422, f"Expected other parameters. Received {place}: {first.get('msg')}.")

    @app.exception_handler(Exception)
    def fail(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, MemoryError):
            return answer(503, "Not enough memory for this image: use a machine with more memory.")
        # without the message, which may contain names
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
        service.activity.log(f"unexpected {type(error).__name__} in {place}")
        return answer(
            500, f"Unexpected {type(error).__name__}. The log of the server has its place."
        )

    return app


async def _remove_expired(service: Service) -> None:
    """Remove expired sessions, also while no request comes."""
    while True:
        await asyncio.sleep(_EXPIRY_S)
        await asyncio.to_thread(service.sessions.remove_expired)
