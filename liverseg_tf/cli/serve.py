"""`liverseg serve`: a server for 3D Slicer and OHIF."""

import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.model_options import model_option
from liverseg_tf.cli.shared.models import ModelLoader, resolve_models
from liverseg_tf.cli.shared.terminal import print_error, say
from liverseg_tf.errors import LiverSegError
from liverseg_tf.network_host import host_in_url, is_loopback
from liverseg_tf.plural import count


@command("serve")
@model_option(". Repeatable; each model gets its own name in the viewer.")
@click.option(
    "--studies",
    required=True,
    metavar="FOLDER|ADDRESS",
    help="Images that viewers may ask for: a folder of images, a DICOM folder tree, a data set, or "
    "an archive, dicomweb://HOST:PORT/PATH. They are listed once, when the server starts. A folder "
    "may be empty.",
)
@click.option(
    "-o",
    "--out",
    type=options.FOLDER,
    show_default="STUDIES.labels beside STUDIES; HOST.labels for an archive",
    help="Folder for corrected labels, uploaded images and fine-tuned models.",
)
@click.option("--host", default="127.0.0.1", help="Address on which the server listens.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="Port; 0 finds one.")
@click.option(
    "--token-file",
    type=options.ANY_PATH,
    metavar="FILE",
    help="File with the token that requests must carry; viewers ask for it as the password. "
    "Alternatively, set the variable LIVERSEG_SERVER_TOKEN. Required on addresses other than "
    "loopback.",
)
@click.option(
    "--without-token",
    is_flag=True,
    help="Let everybody in who can reach --host, for example because a proxy checks who it is.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Web page, such as http://localhost:3000 of OHIF, that may use the server. Repeatable.",
)
@click.option("--tls-cert", type=options.ANY_PATH, metavar="FILE", help="Certificate (PEM).")
@click.option("--tls-key", type=options.ANY_PATH, metavar="FILE", help="Key of the certificate.")
@click.option(
    "--max-upload",
    type=click.IntRange(1),
    default=2048,
    metavar="MB",
    help="Maximum size of a request.",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=8,
    metavar="N",
    help="Number of predictions that may wait. Further ones are told to try again later.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=600.0,
    metavar="SECONDS",
    help="Maximum time for receiving a request, and for its prediction.",
)
@click.option(
    "--session-minutes",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    metavar="MINUTES",
    help="Time after which the image of a session that is not used is removed.",
)
@options.accept_rule
@click.option("--quiet", is_flag=True, help="Do not print the log.")
def serve(models, studies, out, host, port, token_file, without_token, **settings) -> None:
    """Serve models to 3D Slicer and OHIF.

    The server speaks the protocol of MONAI Label, so that the MONAI Label modules of both viewers
    work with it: they predict, correct and save labels, ask for the next image, and fine-tune a
    run on the corrected labels.

    The server listens on this machine only, unless --host says otherwise.
    """
    _check_extra()
    from liverseg_tf.locks import exclusive_lock
    from liverseg_tf.serve.server.listening import check_access, listen, read_server_token

    token = read_server_token(os.environ, token_file)
    check_access(host, token, without_token)
    folder = Path(out) if out is not None else _default_folder(studies)
    listener = listen(host, port)
    with listener, exclusive_lock(folder / ".server.lock", f"the folder {folder}"):
        service = _create_service(models, studies, folder, host, token, settings)
        _run(service, listener, host, settings)


def _check_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise LiverSegError(
            "Expected FastAPI, Uvicorn and python-multipart (pip install 'liverseg_tf[server]'). "
            f"Received: {error}."
        ) from error


def _default_folder(studies: str) -> Path:
    if studies.startswith("dicomweb"):
        return Path(f"{urlsplit(studies).hostname or 'archive'}.labels").absolute()
    path = Path(os.path.abspath(studies))
    return path.with_name(f"{path.name}.labels")


def _create_service(models, studies, folder: Path, host: str, token, settings):
    from liverseg_tf.serve.server.limits import ServerLimits
    from liverseg_tf.serve.server.model_loading import load_model, load_models, name_models
    from liverseg_tf.serve.server.service import FINE_TUNED, AccessRules, Service

    found = _find_studies(studies, folder)
    named = name_models([resolve_models((model,)) for model in models], models)

    def load(paths):
        return ModelLoader(paths)()

    loaded = load_models(named, load, folder / FINE_TUNED, settings["accepted"])
    for model in loaded:
        version = f", fine-tuned version {model.version}" if model.version else ""
        say(f"Model {model.name}: {', '.join(model.labels)}{version}")
        for warning in getattr(model.predictor, "warnings", ()):
            say(f"Warning: {warning}", err=True)
    limits = ServerLimits(
        request_bytes=settings["max_upload"] * 1_000_000,
        queue=settings["queue"],
        seconds=settings["timeout"],
        session_seconds=60 * settings["session_minutes"],
    )
    hosts = ("127.0.0.1", "localhost", "::1", host) if is_loopback(host) else ()
    return Service.create(
        loaded,
        lambda name, run, version: load_model(name, (str(run),), load, version),
        found,
        folder,
        limits,
        AccessRules(token, tuple(settings["origins"]), hosts),
        None if settings["quiet"] else lambda line: say(line, err=True),
    )


def _find_studies(studies: str, folder: Path) -> dict:
    if studies.startswith("dicomweb"):
        from liverseg_tf.serve.server.archived_images import find_archived_images

        return find_archived_images(studies, os.environ, folder / "private" / "archive")
    from liverseg_tf.predict.batch.find_images import find_images

    path = Path(studies)
    if not path.is_dir():
        raise LiverSegError(f"Expected a folder of images at {studies}. Received no such folder.")
    if not any(not item.name.startswith(".") for item in path.iterdir()):
        return {}
    found = find_images([path])
    for message in found.failures.values():
        print_error(message)
    return found.images


def _run(service, listener: socket.socket, host: str, settings) -> None:
    import uvicorn

    from liverseg_tf.serve.server.app import create_app

    for name in ("uvicorn.error", "python_multipart"):  # tracebacks may contain names of images
        logging.getLogger(name).setLevel(logging.CRITICAL)
    certificate, key = settings["tls_cert"], settings["tls_key"]
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,  # it would contain the names of images
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        server_header=False,
        ssl_certfile=certificate and str(certificate),
        ssl_keyfile=key and str(key),
    )
    scheme = "https" if certificate else "http"
    say(
        f"{count(len(service.studies.names()), 'image')}; serving at "
        f"{scheme}://{host_in_url(host)}:{listener.getsockname()[1]} (Ctrl+C ends the server)"
    )
    if not is_loopback(host) and not certificate:
        say(
            "Warning: images and the token are sent without encryption. Set --tls-cert and "
            "--tls-key, or put a proxy with TLS in front.",
            err=True,
        )
    with suppress(KeyboardInterrupt):  # Ctrl+C is the usual end
        uvicorn.Server(config).run(sockets=[listener])
