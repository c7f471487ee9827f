"""Run the command `liverseg export`."""

from liverseg_tf.cli.export import export

if __name__ == "__main__":
    export(prog_name="export.py")
