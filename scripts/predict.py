"""Run the command `liverseg predict`."""

from liverseg_tf.cli.predict import predict

if __name__ == "__main__":
    predict(prog_name="predict.py")
