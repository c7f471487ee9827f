"""`liverseg serve-web`: the pages of `export --web`, with the headers that allow threads."""

import click

from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.terminal import say


@command("serve-web")
@click.argument("folder", type=options.FOLDER, metavar="DIR")
@click.option("--host", default="127.0.0.1", help="Address to bind to.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, help="Port to bind to.")
def serve_web(folder, host, port) -> None:
    """Serve the pages that segment in the browser.

    DIR is a folder with pages that `liverseg export --web` wrote. A page that is opened as a file
    uses one thread; served by this command, it uses the processor's cores. Images are never sent
    to the server. Stop it with Ctrl+C.
    """
    from liverseg_tf.serve.export.web.serve_pages import open_server

    server = open_server(folder, host, port)
    say(f"Serving {folder} at http://{host}:{server.server_port}/")
    with server:
        server.serve_forever()
