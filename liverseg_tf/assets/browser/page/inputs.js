// Turns what the user drops or chooses into cases: {name, files: [{path, file}]}. Each NIfTI file and
// each zip archive is a case, and so is each folder; the other files are one DICOM series.
const ALONE = /\.(nii|nii\.gz|zip)$/i;

export function casesOf(files) {
  const cases = [], folders = new Map();
  for (const { path, file } of files) {
    if (ALONE.test(path)) {
      cases.push({ name: stem(file.name), files: [{ path: file.name, file }] });
      continue;
    }
    const folder = path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
    if (!folders.has(folder)) folders.set(folder, []);
    folders.get(folder).push({ path, file });
  }
  for (const [folder, entries] of folders) {
    cases.push({ name: folder || stem(entries[0].file.name), files: entries });
  }
  return cases;
}

// Name of a case without the suffix of its file.
export function stem(name) {
  return name.replace(/\.(nii\.gz|nii|zip|dcm)$/i, "");
}

// Lists the files of a file dialog.
export function listChosen(input) {
  return [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

// Lists the files of a drop, those of dropped folders included.
export async function listDropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ path: file.name, file }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, folder, found) {
  const path = folder ? `${folder}/${entry.name}` : entry.name;
  if (entry.isFile) {
    found.push({ path, file: await new Promise((resolve, reject) => { entry.file(resolve, reject); }) });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a reader returns a part of the folder at a time
    const part = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!part.length) return;
    for (const child of part) await walk(child, path, found);
  }
}
