"use strict";
// Volumes of the page: from its text to NiiVue's images, and what is drawn of a mask.
const volumes = {
  // The packed NIfTI file in the element `id`; see view_file.py for the split bytes.
  async read(id, isSplit, low, high) {
    const source = document.getElementById(id);
    const packed = Uint8Array.from(atob(source.textContent), (letter) => letter.charCodeAt(0));
    source.remove(); // megabytes of text that are no longer needed
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const file = new Uint8Array(await new Response(stream).arrayBuffer());
    if (isSplit) volumes.joinBytes(file.subarray(352));
    return niivue.NVImage.new(file.buffer, `${id}.nii`, "gray", 1, null, low, high);
  },

  // All low bytes and then all high bytes become pairs.
  joinBytes(bytes) {
    const half = bytes.length / 2, planes = bytes.slice();
    for (let i = 0; i < half; i++) {
      bytes[2 * i] = planes[i];
      bytes[2 * i + 1] = planes[half + i];
    }
  },

  // NiiVue's table of label colours.
  labelColours(mask) {
    const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    for (const [label, place] of mask.labels) {
      const { colour, name } = mask.regions[place];
      for (const [at, channel] of ["R", "G", "B"].entries()) {
        map[channel].push(parseInt(colour.slice(1 + 2 * at, 3 + 2 * at), 16));
      }
      map.A.push(255);
      map.I.push(label);
      map.labels.push(name);
    }
    return map;
  },

  // The voxels of which a neighbour in the plane has another label; steps to the neighbours.
  outline(labels, [across, down]) {
    const lines = new Uint8Array(labels.length);
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i];
      if (label && !(labels[i - across] === label && labels[i + across] === label &&
                     labels[i - down] === label && labels[i + down] === label)) lines[i] = label;
    }
    return lines;
  },
};
