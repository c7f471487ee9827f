// The worker that computes, and its life: it is started when it is needed, and ended to cancel.
import { gunzipText, takeBytes } from "./dom.js";

const MOST_THREADS = 8;
// the smallest module with an instruction of 128 bits
const SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0,
  65, 0, 253, 15, 253, 98, 11);

export class Engine {
  constructor(record) {
    this._record = record;
    const names = ["wasm", "model", "openjpeg", "charls"];
    this._parts = Object.fromEntries(names.map((name) => [name, takeBytes(`part-${name}`)]));
    this._scripts = { worker: takeBytes("part-worker"), loader: takeBytes("part-loader") };
    this._starting = null; // the promise of the worker that is in use
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
  // the type "result" or "error", and none comes after `cancel`.
  async segment(files, onMessage) {
    this._starting ??= this._start();
    const starting = this._starting;
    const handle = (message) => {
      if (starting !== this._starting) return;
      if (message.type === "error") this.cancel(); // its memory may be used up
      onMessage(message);
    };
    const fail = (reason) => handle({ type: "error", message: `The page failed: ${reason || "no worker"}` });
    try {
      const worker = await starting;
      if (starting !== this._starting) return;
      worker.onmessage = ({ data }) => handle(data);
      worker.onerror = (event) => fail(event.message);
      worker.postMessage({ type: "segment", files });
    } catch (error) {
      fail(error.message);
    }
  }

  // Ends the worker; the next case starts another one.
  cancel() {
    this._starting?.then((worker) => worker.terminate(), () => {});
    this._starting = null;
  }

  async _start() {
    const script = await gunzipText(this._scripts.worker);
    const loader = await gunzipText(this._scripts.loader);
    const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
    worker.postMessage({ type: "load", ...this._parts, loader, modelRecord: this._record, threads: Engine.threads });
    return worker;
  }
}
