"use strict";
// Reads the volumes of the page as NiiVue images, and computes the colours and outlines of masks.
const volumes = {
  // Reads the packed NIfTI file in the element `id`. `isSplit`: low and high bytes are separate (see
  // packed_nifti.py).
  async read(id, isSplit, low, high) {
    const source = document.getElementById(id);
    const packed = Uint8Array.from(atob(source.textContent), (character) => character.charCodeAt(0));
    source.remove(); // frees megabytes of text
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const file = new Uint8Array(await new Response(stream).arrayBuffer());
    if (isSplit) volumes.joinBytes(file.subarray(352));
    return niivue.NVImage.new(file.buffer, `${id}.nii`, "gray", 1, null, low, high);
  },

  // Combines all low bytes, followed by all high bytes, to pairs of a low and a high byte.
  joinBytes(bytes) {
    const half = bytes.length / 2, split = bytes.slice();
    for (let i = 0; i < half; i++) {
      bytes[2 * i] = split[i];
      bytes[2 * i + 1] = split[half + i];
    }
  },

  // Returns the colour table of a mask in NiiVue's format.
  labelColours(mask) {
    const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    for (const [label, region] of mask.labels) {
      const { colour, name } = mask.regions[region];
      for (const [index, channel] of ["R", "G", "B"].entries()) {
        map[channel].push(parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16));
      }
      map.A.push(255);
      map.I.push(label);
      map.labels.push(name);
    }
    return map;
  },

  // Keeps the voxels that have a neighbour with another label in the plane. `across` and `down` are
  // the distances in the array to the neighbours.
  outline(labels, [across, down]) {
    const outlines = new Uint8Array(labels.length);
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i];
      if (label && !(labels[i - across] === label && labels[i + across] === label &&
                     labels[i - down] === label && labels[i + down] === label)) outlines[i] = label;
    }
    return outlines;
  },
};
