// Numbers in messages: "1 case", "2 cases", and "%g" (see plural.py).
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

// Writes a number with six significant digits, without trailing zeros.
export function formatNumber(value, digits = 6) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : String(value);
}

export function formatVector(values, digits = 4) {
  return `(${values.map((value) => formatNumber(value, digits)).join(", ")})`;
}

export function formatShape(values) {
  return values.join(" x ");
}
