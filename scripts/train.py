"""Run the command `liverseg train`."""

from liverseg_tf.cli.train import train

if __name__ == "__main__":
    train(prog_name="train.py")
