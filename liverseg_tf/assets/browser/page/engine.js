// The worker that computes, and its life: it is started when it is needed, and ended to cancel.
import { gunzipText, takeBytes } from "./dom.js";

const MOST_THREADS = 8;
// the smallest module with an instruction of 128 bits
const SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0,
  65, 0, 253, 15, 253, 98, 11);

export class Engine {
  constructor(record) {
    this._record = record;
    this._parts = { wasm: takeBytes("part-wasm"), model: takeBytes("part-model") };
    this._scripts = { worker: takeBytes("part-worker"), loader: takeBytes("part-loader") };
    this._worker = null;
  }

  // Why this browser cannot run the network; null if it can.
  static findObstacle() {
    if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD)) {
      return "This browser has no WebAssembly with SIMD, which the network needs: use a current version " +
        "of Firefox, Chrome, Edge or Safari.";
    }
    if (typeof DecompressionStream !== "function" || typeof CompressionStream !== "function") {
      return "This browser cannot read compressed data: use a current version of Firefox, Chrome, Edge or " +
        "Safari.";
    }
    return null;
  }

  static get threads() {
    return self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  }

  // Segments a case. `onMessage` gets the messages of the worker (see worker.js); the last one is of
  // the type "result" or "error".
  async segment(files, onMessage) {
    const worker = await this._start(onMessage);
    if (worker === this._worker) worker.postMessage({ type: "segment", files });
  }

  // Ends the worker; the next case starts another one.
  cancel() {
    this._worker?.terminate();
    this._worker = null;
  }

  async _start(onMessage) {
    const handle = ({ data }) => {
      if (data.type === "error") this.cancel(); // its memory may be used up
      onMessage(data);
    };
    if (this._worker !== null) {
      this._worker.onmessage = handle;
      return this._worker;
    }
    const script = await gunzipText(this._scripts.worker);
    const loader = await gunzipText(this._scripts.loader);
    const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
    this._worker = worker;
    await new Promise((resolve) => {
      worker.onerror = (event) => {
        handle({ data: { type: "error", message: `The page failed: ${event.message || "no worker"}` } });
        resolve();
      };
      worker.onmessage = ({ data }) => {
        if (data.type === "error") handle({ data });
        resolve();
      };
      worker.postMessage({ type: "load", ...this._parts, loader, modelRecord: this._record, threads: Engine.threads });
    });
    worker.onmessage = handle;
    return worker;
  }
}
