"""The `liverseg` command as `python -m liverseg_tf`."""

from liverseg_tf.cli.main import liverseg

if __name__ == "__main__":
    liverseg()
