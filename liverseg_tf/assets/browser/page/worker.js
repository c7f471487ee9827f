// The worker of the page: reads an image, runs the network and returns the masks, so that the page
// stays responsive. `ort`, `pako` and the decoders are globals of the vendored scripts before this one.
import { LiverSegError } from "../errors.js";
import { provideDecoders } from "../ct/dicom/decoders.js";
import { windowOf } from "../ct/intensity.js";
import { encodeImage, encodeLabels } from "../ct/nifti.js";
import { fromCanonicalArray, orientationOf, toCanonical } from "../ct/orientation.js";
import { spacingOf } from "../ct/volume.js";
import { applyPostprocessing } from "../model/postprocessing.js";
import { channelsOf } from "../model/spec.js";
import { checkImage, judgeImage } from "../predict/input_image.js";
import { encodeSegmentation } from "../predict/outputs/dicom_seg.js";
import { measure } from "../predict/outputs/measurements.js";
import { readInput } from "../predict/read_input.js";
import { findRegions } from "../predict/segment_volume.js";

const MR_RANGE = { lower: 1, upper: 99 };
let loading = null, session = null, record = null, networkMs = 0;

self.onmessage = async ({ data }) => {
  try {
    if (data.type === "load") loading = load(data);
    await loading; // an image may arrive before the network is there
    if (data.type === "segment") await segment(data.files);
  } catch (error) {
    const known = error instanceof LiverSegError;
    if (!known) console.error(error);
    self.postMessage({ type: "error", message: known ? error.message : describe(error) });
  }
};

function describe(error) {
  const text = String(error?.message ?? error).split("\n")[0];
  const isMemory = /memory|allocation|Array buffer|RangeError/i.test(`${error?.name} ${text}`);
  return isMemory
    ? "This image needs more memory than the browser allows: use liverseg predict for it."
    : `The page failed: ${text}`;
}

// Starts the runtime and loads the network. `wasm`, `model`, `openjpeg`, `charls`: gzip; `loader`: script
// of the runtime.
async function load({ wasm, model, openjpeg, charls, loader, modelRecord, threads }) {
  record = modelRecord;
  provideDecoders({ OpenJPEGWASM: () => gunzip(openjpeg), CharLSWASM: () => gunzip(charls) });
  const { env } = self.ort;
  env.wasm.numThreads = threads;
  env.wasm.wasmBinary = await gunzip(wasm);
  env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([loader], { type: "text/javascript" })) };
  env.logLevel = "error";
  session = await self.ort.InferenceSession.create(await gunzip(model),
    { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function gzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function segment(files) {
  const inputs = files.map(({ path, file }) => (
    { path, size: file.size, load: async () => new Uint8Array(await file.arrayBuffer()) }));
  const { network, postprocessing } = record;
  const image = await readInput(inputs, network.tiles.channel, async (what, done) => {
    self.postMessage({ type: "reading", what, done, total: inputs.length });
  });
  checkImage(image);
  const canonical = { ...toCanonical(image), fileAffine: image.affine };
  image.array = null; // only the grid is needed from here on
  const warnings = judgeImage(canonical, network);
  sendImage(canonical, network, warnings);
  let slices = 0;
  networkMs = 0;
  const masks = await findRegions(canonical, record, predict, async (z, done, total, found) => {
    const labels = found.labels(z);
    slices = total;
    self.postMessage({ type: "slice", z, done, total, labels }, [labels.buffer]);
  });
  applyPostprocessing(postprocessing, masks, spacingOf(canonical));
  const labels = masks.labels();
  const table = measure(canonical, labels, network.regions);
  const inFileOrder = fromCanonicalArray(orientationOf(image.affine), labels, image.shape);
  const file = await gzip(encodeLabels(inFileOrder, image));
  const seg = image.slices ? trySegmentation(inFileOrder, image, [...record.warnings, ...warnings]) : null;
  const sliceSeconds = networkMs / 1000 / slices;
  const moved = seg?.file ? [file.buffer, seg.file.buffer] : [file.buffer];
  self.postMessage({ type: "result", labels, table, file, seg, sliceSeconds }, moved);
}

// The mask as DICOM-SEG, {file}, or why there is none, {reason}: the other mask can be saved anyway.
function trySegmentation(labels, image, notes) {
  try {
    return { file: encodeSegmentation(labels, image, record, notes) };
  } catch (error) {
    if (!(error instanceof LiverSegError)) console.error(error);
    return { reason: error instanceof LiverSegError ? error.message : describe(error) };
  }
}

async function predict(tiles, [height, width]) {
  const input = new self.ort.Tensor("float32", tiles, [1, height, width, channelsOf(record.network)]);
  const started = performance.now();
  const outputs = await session.run({ [session.inputNames[0]]: input });
  const output = outputs[session.outputNames[0]];
  const values = await output.getData();
  output.dispose?.();
  networkMs += performance.now() - started;
  return values;
}

// Sends a NIfTI file of the canonical image, which the page shows.
function sendImage(canonical, network, warnings) {
  const isCt = network.tiles.percentiles === null;
  const window = isCt ? { level_hu: 40, width_hu: 400 } : windowOf(MR_RANGE, canonical.array);
  const file = encodeImage(canonical);
  self.postMessage({ type: "image", file, shape: canonical.shape, isCt, window, warnings }, [file.buffer]);
}
