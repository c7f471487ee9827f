// An error in plain words, one line, that the page shows (see errors.py).
export class LiverSegError extends Error {
  constructor(message) {
    super(message);
    this.name = "LiverSegError";
  }
}
