"""Drives the page that segments in the browser: headless Chromium, whose requests are recorded."""

import json
import os
import re
import shutil
import time
from pathlib import Path

FLAGS = (
    "--headless=new --no-sandbox --use-gl=angle --use-angle=swiftshader "
    "--enable-unsafe-swiftshader --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --disable-quic --enable-precise-memory-info"
)


class SegmentationPage:
    """A page in a browser of its own.

    Args:
        address: Path of the page, or an address of http.
        folder: Folder for the profile and the masks that the page saves.
        size: Width and height of the window.
        flags: Further flags of the browser.
    """

    def __init__(self, address, folder, size=(1280, 900), flags=()):
        from selenium import webdriver

        folder = Path(folder)
        self.downloads = folder / "downloads"
        shutil.rmtree(self.downloads, ignore_errors=True)
        self.downloads.mkdir(parents=True)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
        for flag in (*FLAGS.split(), *flags, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(120)
        self.command = self.driver.execute_cdp_cmd
        behaviour = {"behavior": "allow", "downloadPath": str(self.downloads)}
        self.command("Browser.setDownloadBehavior", behaviour)
        self.driver.get("about:blank")
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self._resize(size)
        self.driver.get(str(address) if "://" in str(address) else Path(address).resolve().as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.driver.quit()

    def _resize(self, size):
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", metrics)

    def js(self, code):
        return self.driver.execute_script(code)

    @property
    def state(self):
        return self.js("return document.documentElement.dataset.state")

    def text(self, element_id):
        return self.js(f"return document.getElementById({json.dumps(element_id)}).textContent")

    def choose(self, paths):
        """Choose files, or the files of one folder, in the page's dialog."""
        paths = [Path(path).resolve() for path in paths]
        if paths[0].is_dir():  # the files of a folder take the same way as the folder itself
            paths = sorted(path for path in paths[0].rglob("*") if path.is_file())
        root = self.command("DOM.getDocument", {})["root"]["nodeId"]
        query = {"nodeId": root, "selector": "#files"}
        node = self.command("DOM.querySelector", query)["nodeId"]
        self.command("DOM.setFileInputFiles", {"nodeId": node, "files": list(map(str, paths))})

    def segment(self, paths, seconds=600):
        """Segment an image and return the path of the saved mask; errors of the page are raised."""
        for path in self.downloads.iterdir():
            path.unlink()
        self.choose(paths)
        self.wait_until(lambda: self.state in ("result", "error"), seconds)
        if self.state == "error":
            raise AssertionError(self.text("error"))
        self.js("document.getElementById('save').click()")
        self.wait_until(lambda: list(self.downloads.glob("*.nii.gz")), 60)
        return next(self.downloads.glob("*.nii.gz"))

    def save_seg(self):
        """Return the path of the DICOM-SEG file that the page saves for its last result."""
        self.js("document.getElementById('save-seg').click()")
        self.wait_until(lambda: list(self.downloads.glob("*.seg.dcm")), 60)
        return next(self.downloads.glob("*.seg.dcm"))

    def wait_until(self, check, seconds=120):
        end = time.monotonic() + seconds
        while not check():
            failures = [e for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]
            assert not failures, failures
            assert time.monotonic() < end, self.state
            time.sleep(0.05)

    def resources(self):
        """Peak memory in MB and processor time in s of the renderer processes (Linux)."""
        peak_mb = cpu_s = 0.0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if b"--type=renderer" not in (process / "cmdline").read_bytes():
                    continue
                if not self._is_below(process):
                    continue
                line = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
                times = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
            except OSError:  # the process has ended
                continue
            peak_mb = max(peak_mb, int(line[1]) / 1000)
            cpu_s += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
        return peak_mb, cpu_s

    def _is_below(self, process):
        """Whether a process descends from the driver of this browser."""
        number = int(process.name)
        while number > 1:
            if number == self.driver.service.process.pid:
                return True
            text = Path(f"/proc/{number}/stat").read_text()
            number = int(text.rpartition(")")[2].split()[1])
        return False

    def errors(self):
        """Errors on the console, and requests to a network."""
        found = [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:", "about:")):
                    found.append(url)
        return found


def read_seg(path, labels, folder):
    """Read a DICOM-SEG file with highdicom, by the images to which its frames refer.

    Args:
        path: Path of the file.
        labels: Volume on the grid of the series.
        folder: Folder of the series.

    Returns:
        Masks (z, row, col, segment) in the order of the volume.
    """
    import highdicom as hd
    import numpy as np
    import pydicom

    images = [pydicom.dcmread(file, stop_before_pixels=True) for file in folder.iterdir()]
    along = labels.affine[:3, 2] * (-1, -1, 1)  # LPS
    images.sort(key=lambda image: np.dot(image.ImagePositionPatient, along))
    return hd.seg.segread(path).get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], assert_missing_frames_are_empty=True
    )
