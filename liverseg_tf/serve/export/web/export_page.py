"""A run as a page that segments in the browser."""

import tempfile
from pathlib import Path

from liverseg_tf.serve.export.averaged_runs import ExportedRun
from liverseg_tf.serve.export.convert import write_onnx
from liverseg_tf.serve.export.web.write_page import PageModel, write_browser_page


def export_page(path: Path, predictor: ExportedRun, name: str, version: int) -> None:
    """Convert the network of a run to ONNX and write the page that holds it.

    The weights stay float32: rounded to float16, they change some voxels of almost every mask.

    Args:
        path: Path of the .html file.
        predictor: Model of the run.
        name: Name of the model.
        version: Version number of the export.

    Raises:
        LiverSegError: If tf2onnx is not installed, or the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        write_onnx(predictor.model, file)
        onnx = file.read_bytes()
    model = PageModel(
        name,
        version,
        predictor.network,
        predictor.postprocessing,
        tuple(predictor.warnings),
        f"{predictor.fingerprint}-onnx-none",
    )
    write_browser_page(path, model, onnx)
