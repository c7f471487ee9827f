"""Wrong options of `liverseg node`, which end before a model is loaded."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run_liverseg

RUN = ("node", "--model", "RUN", "--folder", "FOLDER")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "either --send AET@HOST:PORT or --dry-run"),
        (("--dry-run", "--send", "A@h:1"), "either --send AET@HOST:PORT or --dry-run"),
        (("--send", "ORTHANC"), "Expected a DICOM node as AET@HOST:PORT"),
        (("--send", "A@h:0"), "Expected a DICOM node as AET@HOST:PORT"),
        (("--dry-run", "--aet", "MORE_THAN_SIXTEEN"), "1 to 16 characters"),
        (("--dry-run", "--host", "0.0.0.0"), "Expected --allow AET"),
        (("--dry-run", "--tls-key", "key.pem"), "Expected --tls-cert FILE"),
    ],
)
def test_wrong_options_are_one_line(options, expected):
    done = run_liverseg(*RUN, *options)
    assert done.exit_code == 2
    assert expected in done.output
    assert len(done.output.splitlines()) == 1


def test_an_unreadable_certificate_is_one_line(tmp_path):
    (tmp_path / "cert.pem").write_text("none")
    done = run_liverseg(*RUN, "--dry-run", "--tls-cert", tmp_path / "cert.pem")
    assert done.exit_code == 1
    assert "Expected certificates" in done.output


def test_the_commands_of_the_documentation_are_understood():
    from liverseg_tf.cli.node import node

    page = Path(__file__).parents[2] / "docs" / "pacs.md"
    text = page.read_text().replace("\\\n", " ")
    commands = [line.partition("liverseg node ")[2] for line in text.splitlines()]
    commands = [line for line in commands if "--model" in line]
    assert len(commands) == 3
    for line in commands:
        context = node.make_context("node", shlex.split(line))
        assert context.params["destinations"] == ("ORTHANC@127.0.0.1:4242",)


def test_messages_of_libraries_are_not_logged():
    """They contain values of headers, such as names of patients."""
    code = (
        "import logging, warnings; from liverseg_tf.cli.node import _log_to_stderr as log; log();"
        "warnings.warn('Anna'); logging.getLogger('pydicom').warning('Anna');"
        "logging.getLogger('pynetdicom.acse').error('Anna');"
        "logging.getLogger('liverseg_tf.node').info('one\\nline')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Anna" not in done.stderr
    assert done.stderr.endswith("INFO one\\x0aline\n")
