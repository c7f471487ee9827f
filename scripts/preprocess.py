"""Run the command `liverseg preprocess`."""

from liverseg_tf.cli.preprocess import preprocess

if __name__ == "__main__":
    preprocess(prog_name="preprocess.py")
