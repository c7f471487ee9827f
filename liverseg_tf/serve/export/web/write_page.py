"""The page that segments in the browser: one HTML file with network, runtime and code."""

import gzip
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.html_page import Page, embed_bytes, embed_json, read_asset, write_page
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.printable import printable
from liverseg_tf.serve.export.web.bundle import bundle

_VENDOR = "browser/vendor"


@dataclass(frozen=True)
class PageModel:
    """What the page must know about its model.

    Args:
        name: Name of the model.
        version: Version number.
        network: Input and output of the model.
        postprocessing: Steps that the page applies to the masks.
        warnings: What must be known before the model is used, one line each.
    """

    name: str
    version: int
    network: NetworkSpec
    postprocessing: PostProcessing
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> dict:
        """Return the record that the scripts of the page read. Regions are pairs, in order."""
        network = self.network.to_json()
        return {
            "name": printable(self.name),
            "version": self.version,
            "network": network | {"regions": list(self.network.regions.items)},
            "postprocessing": self.postprocessing.to_json(),
            "warnings": list(map(printable, self.warnings)),
            "liverseg_tf": __version__,
        }


def write_browser_page(path: Path, model: PageModel, onnx: bytes) -> None:
    """Write a self-contained page that segments images with a network.

    The network, ONNX Runtime (wasm), the script of the worker and NiiVue are parts of the file. Its
    Content-Security-Policy forbids every connection.

    Args:
        path: Path of the .html file, which is written atomically.
        model: What the page must know about its model.
        onnx: Contents of the network's ONNX file.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    runtime, inflate = (
        read_asset(f"{_VENDOR}/{name}") for name in ("ort.wasm.min.js", "pako_inflate.min.js")
    )
    worker = "\n".join([_without_map(runtime), inflate, read_bundle("page/worker.js")])
    loader = read_asset(f"{_VENDOR}/ort-wasm-simd-threaded.mjs")
    wasm = files("liverseg_tf").joinpath("assets", _VENDOR, "ort-wasm-simd-threaded.wasm.gz")
    parts = {
        "wasm": wasm.read_bytes(),
        "model": gzip.compress(onnx, 9, mtime=0),
        "worker": gzip.compress(worker.encode(), 9, mtime=0),
        "loader": gzip.compress(_without_map(loader).encode(), 9, mtime=0),
    }
    body = [read_asset("browser/page/page.html"), embed_json("record", model.to_json())]
    body += [embed_bytes(f"part-{name}", content) for name, content in parts.items()]
    scripts = (read_asset("niivue.umd.js"), read_bundle("page/page.js"))
    style = read_asset("browser/page/page.css")
    title = f"{model.name}: segmentation in the browser"
    write_page(path, Page(title, style, body, scripts, runs_wasm=True))


def read_bundle(entry: str) -> str:
    """Return a script of the page with all modules that it imports."""
    return bundle(entry, lambda path: read_asset(f"browser/{path}"))


def _without_map(script: str) -> str:
    """Remove the address of a source map, which the page does not hold."""
    return "\n".join(
        line for line in script.splitlines() if not line.startswith("//# sourceMappingURL=")
    )
