"""The page that segments in the browser: one HTML file with network, runtime and code."""

import gzip
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.ct.snomed import find_segment_code
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
        fingerprint: Identifier of the model, which DICOM-SEG files state.
    """

    name: str
    version: int
    network: NetworkSpec
    postprocessing: PostProcessing
    warnings: tuple[str, ...] = field(default=())
    fingerprint: str = ""

    def to_json(self) -> dict:
        """Return the record that the scripts of the page read. Regions are pairs, in order."""
        network, regions = self.network.to_json(), self.network.regions
        return {
            "name": printable(self.name),
            "version": self.version,
            "fingerprint": self.fingerprint,
            "network": network | {"regions": list(regions.items)},
            "segments": [asdict(find_segment_code(regions, name)) for name in regions.names],
            "postprocessing": self.postprocessing.to_json(),
            "warnings": list(map(printable, self.warnings)),
            "liverseg_tf": __version__,
        }


def write_browser_page(path: Path, model: PageModel, onnx: bytes) -> None:
    """Write a self-contained page that segments images with a network.

    The network, ONNX Runtime and the decoders of DICOM (wasm), the script of the worker and NiiVue
    are parts of the file. Its Content-Security-Policy forbids every connection.

    Args:
        path: Path of the .html file, which is written atomically.
        model: What the page must know about its model.
        onnx: Contents of the network's ONNX file.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    libraries = ("ort.wasm.min", "pako_inflate.min", "openjpegwasm_decode", "charlswasm_decode")
    scripts = [_without_map(read_asset(f"{_VENDOR}/{name}.js")) for name in libraries]
    worker = "\n".join([*scripts, read_bundle("page/worker.js")])
    loader = read_asset(f"{_VENDOR}/ort-wasm-simd-threaded.mjs")
    parts = {
        "wasm": _read_packed("ort-wasm-simd-threaded.wasm.gz"),
        "openjpeg": _read_packed("openjpegwasm_decode.wasm.gz"),
        "charls": _read_packed("charlswasm_decode.wasm.gz"),
        "model": gzip.compress(onnx, 9, mtime=0),
        "worker": gzip.compress(worker.encode(), 9, mtime=0),
        "loader": gzip.compress(_without_map(loader).encode(), 9, mtime=0),
    }
    body = [read_asset("browser/page/page.html"), embed_json("record", model.to_json())]
    body += [embed_bytes(f"part-{name}", content) for name, content in parts.items()]
    page_scripts = (read_asset("niivue.umd.js"), read_bundle("page/page.js"))
    style = read_asset("browser/page/page.css")
    title = f"{model.name}: segmentation in the browser"
    write_page(path, Page(title, style, body, page_scripts, runs_wasm=True))


def _read_packed(name: str) -> bytes:
    """Return a vendored wasm module, compressed with gzip."""
    return files("liverseg_tf").joinpath("assets", _VENDOR, name).read_bytes()


def read_bundle(entry: str) -> str:
    """Return a script of the page with all modules that it imports."""
    return bundle(entry, lambda path: read_asset(f"browser/{path}"))


def _without_map(script: str) -> str:
    """Remove the address of a source map, which the page does not hold."""
    return "\n".join(
        line for line in script.splitlines() if not line.startswith("//# sourceMappingURL=")
    )
