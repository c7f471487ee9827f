"""Options of `liverseg node`: where it listens, when a series is complete, and its limits."""

import click

from liverseg_tf.cli.shared import options

PORT = click.IntRange(0, 65535)

listening_options = options.combine_options(
    click.option("--aet", default="LIVERSEG", metavar="AET", help="AE title of this node."),
    click.option(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="Address to listen on. One that other machines reach, such as 0.0.0.0, needs --allow.",
    ),
    click.option("--port", type=PORT, default=11112, metavar="PORT", help="Port to listen on."),
    click.option(
        "--allow",
        multiple=True,
        metavar="AET",
        show_default="any, on a loopback address",
        help="AE title that may connect. Repeatable.",
    ),
)

waiting_and_limits = options.combine_options(
    click.option(
        "--quiet-seconds",
        type=click.FloatRange(0.1),
        default=30.0,
        metavar="S",
        help="Seconds without a new image after which a series is complete.",
    ),
    click.option(
        "--query",
        metavar="AET@HOST:PORT",
        help="Node that is asked (C-FIND) how many images a series has. A series is then complete "
        "only when all of them have arrived.",
    ),
    click.option(
        "--give-up-minutes",
        type=click.FloatRange(0, min_open=True),
        default=60.0,
        metavar="M",
        help="Minutes without a new image after which a series with missing images is refused.",
    ),
    click.option(
        "--keep-hours",
        type=click.FloatRange(0),
        default=24.0,
        metavar="H",
        help="Hours for which images and results are kept after the last image of a series.",
    ),
    click.option(
        "--max-associations",
        type=click.IntRange(1, 1000),
        default=10,
        metavar="N",
        help="Maximum number of associations at the same time.",
    ),
    click.option(
        "--max-megabytes",
        type=click.IntRange(1),
        default=512,
        metavar="MB",
        help="Maximum size of an image that is received. Each association may need so much memory.",
    ),
    click.option(
        "--free-megabytes",
        type=click.IntRange(0),
        default=256,
        metavar="MB",
        help="Space on the disk that stays free: below, images are refused as out of resources.",
    ),
    click.option(
        "--status-host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="Address of the status page, which anyone who reaches it can read.",
    ),
    click.option(
        "--status-port",
        type=PORT,
        default=11113,
        metavar="PORT",
        help="Port of the status page (/, /status.json, /metrics for Prometheus, /health).",
    ),
    click.option("--no-status", is_flag=True, help="Serve no status page."),
    click.option(
        "--tls-cert",
        type=options.ANY_PATH,
        metavar="FILE",
        help="Certificate of this node (PEM). With it, connections to this node are encrypted.",
    ),
    click.option(
        "--tls-key",
        type=options.ANY_PATH,
        metavar="FILE",
        help="Private key of the certificate (PEM, not encrypted).",
    ),
    click.option(
        "--tls-ca",
        type=options.ANY_PATH,
        metavar="FILE",
        help="Certificates (PEM) that verify other nodes. Nodes that connect must then have one.",
    ),
    click.option(
        "--tls-out", is_flag=True, help="Encrypt connections to the nodes of --send and --query."
    ),
)
