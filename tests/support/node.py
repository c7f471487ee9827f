"""Runs the modules of the browser page under Node, with arrays that come and go as files."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

ASSETS = Path(str(files("liverseg_tf").joinpath("assets", "browser")))
_TYPES = {
    "uint8": "Uint8Array",
    "int8": "Int8Array",
    "int16": "Int16Array",
    "uint16": "Uint16Array",
    "int32": "Int32Array",
    "float32": "Float32Array",
    "float64": "Float64Array",
}
_FRAME = """
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";
(0, eval)(readFileSync(%(assets)s + "/vendor/pako_inflate.min.js", "utf8"));
const load = (path) => import(%(assets)s + "/" + path + ".js");
// what the vendored decoders and the worker of the page expect of their surroundings
const require = createRequire(import.meta.url);
Object.assign(globalThis, { self: globalThis, require, __dirname: "/" });
const vendor = { OpenJPEGWASM: "openjpegwasm_decode", CharLSWASM: "charlswasm_decode" };
const loaders = Object.entries(vendor).map(([name, file]) => {
  const path = %(assets)s + "/vendor/" + file;
  globalThis[name] = (...given) => {
    (0, eval)(readFileSync(path + ".js", "utf8"));
    return globalThis[name](...given);
  };
  return [name, async () => gunzipSync(readFileSync(path + ".wasm.gz"))];
});
(await load("ct/dicom/decoders")).provideDecoders(Object.fromEntries(loaders));
const folder = %(folder)s;
const types = { Uint8Array, Int8Array, Int16Array, Uint16Array, Int32Array, Float32Array,
  Float64Array };
const input = JSON.parse(readFileSync(folder + "/input.json", "utf8"), (_, value) => {
  if (!value?.array_file) return value;
  const { buffer, byteOffset, length } = readFileSync(folder + "/" + value.array_file);
  return new types[value.type](buffer.slice(byteOffset, byteOffset + length));
});
async function main() { %(code)s }
let count = 0;
const output = JSON.stringify(await main() ?? null, (_, value) => {
  if (!ArrayBuffer.isView(value)) return value;
  const array_file = `output-${count++}.bin`;
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  writeFileSync(folder + "/" + array_file, bytes);
  return { array_file, type: value.constructor.name };
});
writeFileSync(folder + "/output.json", output);
"""
# reads each of `sources`, files and folders, as the page does
READ_IMAGES = """
const { readInput } = await load("predict/read_input");
const fs = await import("node:fs");
const listed = (folder, prefix) =>
  fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory()
    ? listed(`${folder}/${entry.name}`, `${prefix}${entry.name}/`)
    : [{ path: prefix + entry.name, full: `${folder}/${entry.name}` }]));
const results = [];
for (const source of input.sources) {
  const files = fs.statSync(source).isDirectory() ? listed(source, "s/")
    : [{ path: source.split("/").pop(), full: source }];
  const started = performance.now();
  const took = () => (performance.now() - started) / 1000;
  try {
    const volume = await readInput(files.map(({ path, full }) => ({ path,
      size: fs.statSync(full).size, load: async () => new Uint8Array(fs.readFileSync(full)) })));
    results.push({ ...volume, header: null, slices: null, seconds: took() });
  } catch (error) {
    results.push({ error: error.message, kind: error.name, seconds: took() });
  }
}
return results;
"""


def run_node(folder, code, **inputs):
    """Run the body of an async function and return what it returns.

    Args:
        folder: Folder for the files that are exchanged.
        code: JavaScript; `input` holds the inputs, and `await load("ct/resample")` is a module.
        inputs: JSON values and arrays, also nested.
    """
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node.js (Debian: nodejs)")
    folder.mkdir(parents=True, exist_ok=True)
    numbers = iter(range(10**6))

    def to_json(value):
        if isinstance(value, np.generic):
            return value.item()
        name = f"input-{next(numbers)}.bin"
        array = np.ascontiguousarray(value)
        (folder / name).write_bytes(array.tobytes())
        return {"array_file": name, "type": _TYPES[array.dtype.name]}

    (folder / "input.json").write_text(json.dumps(inputs, default=to_json))
    script = folder / "script.mjs"
    names = {"assets": json.dumps(str(ASSETS)), "folder": json.dumps(str(folder)), "code": code}
    script.write_text(_FRAME % names)
    done = subprocess.run([program, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    types = {name: dtype for dtype, name in _TYPES.items()}

    def from_json(value):
        if "array_file" not in value:
            return value
        return np.fromfile(folder / value["array_file"], types[value["type"]])

    return json.loads((folder / "output.json").read_text(), object_hook=from_json)
