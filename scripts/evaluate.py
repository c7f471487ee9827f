"""Run the command `liverseg evaluate`."""

from liverseg_tf.cli.evaluate import evaluate

if __name__ == "__main__":
    evaluate(prog_name="evaluate.py")
