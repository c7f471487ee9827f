import os
import pty
import subprocess
import sys
import threading

from liverseg_tf.cli.shared import progress as module
from liverseg_tf.cli.shared.progress import progress


def test_lines_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.0)
    with progress("work", 4) as show:
        show(1, "a")
        show(4, "d")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("work: 25 %")
    assert lines[0].endswith(", a")
    assert lines[-1].startswith("work: 100 %")


def test_a_bar_on_a_terminal():
    code = (
        "from liverseg_tf.cli.shared.progress import progress\n"
        "with progress('work', 2) as show: show(1, 'half'); show(2, '[/whole]\\x1b[31m')"
    )
    master, slave = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=slave, env=env)
    os.close(slave)
    seen = []

    def read():
        try:
            while chunk := os.read(master, 1024):
                seen.append(chunk)
        except OSError:
            pass  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(60) == 0
    reader.join(10)
    text = b"".join(seen).decode()
    assert "work" in text
    assert "100%" in text
    assert "[/whole]\\x1b[31m" in text  # a name is neither markup nor a command
