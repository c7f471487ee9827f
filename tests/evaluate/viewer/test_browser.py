"""Report and viewer in a real browser, headless Chromium, if it is installed."""

import base64
import io
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import ndimage

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.nifti import read_labels, read_volume, write_labels
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate.viewer.write_viewer import ViewerSpec, write_viewer
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom

SECONDS = 120  # software rendering on a busy machine
FLAGS = (
    "--headless=new --no-sandbox --use-gl=angle --use-angle=swiftshader "
    "--enable-unsafe-swiftshader --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --disable-quic"
)
WIDE, PHONE = (1280, 900), (390, 844)
MARKUP = '</script><script>document.title="changed"</script><img src=x onerror=alert(1)>'


class Browser:
    """Browser whose errors and network requests are recorded."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, page, size=WIDE):
        self.driver.get("about:blank")
        self.driver.get_log("browser"), self.driver.get_log("performance")
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(Path(page).resolve().as_uri())

    def open_viewer(self, page, size=WIDE):
        self.open(page, size)
        self.wait_for_viewer()

    def wait_for_viewer(self):
        self.wait_until(lambda: self.js("return document.documentElement.dataset.state") == "ready")

    def wait_until(self, check):
        end = time.monotonic() + SECONDS
        while not check():
            assert time.monotonic() < end, self.driver.get_log("browser")
            time.sleep(0.1)

    def js(self, code):
        return self.driver.execute_script(code)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.js(f"return document.querySelector({json.dumps(selector)}).textContent")

    def press(self, key):
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(key).perform()

    def canvas(self):
        """Pixels of the canvas: (rows, cols, 3) int."""
        box = self.js(
            "const b = canvas.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
        )
        png = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
        x, y, width, height = map(round, box)
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
        return picture[y : y + height, x : x + width].astype(int)

    def errors(self):
        """Errors on the console, and requests to a network."""
        errors = [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:", "about:")):
                    errors.append(url)
        return errors

    def horizontal_overflow(self):
        return self.js("return document.documentElement.scrollWidth - window.innerWidth")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver_program = shutil.which("chromedriver")
    if not (program and driver_program):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver_program)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(SECONDS)
    driver.set_page_load_timeout(SECONDS)
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Phantoms, eroded masks as predictions, and their report with viewer pages."""
    folder = tmp_path_factory.mktemp("browser")
    small = ["--shape", 24, 80, 80, "--spacing", 9, 5, 5, "--tumours", 3]
    _run("phantom", folder / "set", "--count", 5, "--seed", 1, *small)  # plots need five cases
    for path in (folder / "set/labelsTr").iterdir():
        truth = read_labels(path)
        liver = ndimage.binary_erosion(truth.array > 0)
        eroded = truth.with_array(np.where(liver, np.maximum(truth.array, 1), 0).astype(np.uint8))
        write_labels(folder / "masks" / path.name, eroded)
    _run("evaluate", folder / "set", folder / "masks", "--out", folder / "scores", "--viewers")
    return folder


def _run(*arguments):
    done = CliRunner().invoke(liverseg, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output


def masks_of(work, case="phantom_000"):
    names = ("set/labelsTr", "masks")
    return [to_canonical(read_labels(work / name / f"{case}.nii.gz")) for name in names]


def voxel_of(readout, volume):
    """Indices (z, row, col) of the voxel at the position that the viewer shows."""
    position = [
        float(number) * (-1 if side in "LPI" else 1)
        for side, number in re.findall(r"([RLAPSI]) ([\d.]+)", readout.splitlines()[0])
    ]
    indices = np.linalg.inv(volume.affine) @ (*position, 1)
    return tuple(np.rint(indices[2::-1]).astype(int))


def coloured(pixels):
    return np.ptp(pixels, axis=-1) > 60


@pytest.mark.slow
@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_report(browser, work, size):
    browser.open(work / "scores/report.html", size)
    assert browser.text("h1") == "Segmentation report"
    sizes = browser.js("return [...document.images].map((image) => image.naturalWidth)")
    assert len(sizes) >= 7
    assert min(sizes) > 0
    assert browser.horizontal_overflow() <= 0
    boxes = browser.js(
        "return [...document.querySelectorAll('.box')]"
        ".map((box) => box.getBoundingClientRect().right)"
    )
    assert max(boxes) <= size[0]
    links = browser.js("return [...document.links].map((link) => link.href)")
    assert sum(link.endswith("/viewer/phantom_001.html") for link in links) == 2
    assert browser.errors() == []


@pytest.mark.slow
def test_link_from_the_report_to_a_viewer(browser, work):
    browser.open(work / "scores/report.html")
    browser.find("figcaption a").click()
    browser.wait_for_viewer()
    assert browser.text("#title").startswith("phantom_")
    assert browser.errors() == []


@pytest.mark.slow
def test_legend_and_lesions(browser, work):
    browser.open_viewer(work / "scores/viewer/phantom_000.html")
    rows = browser.js("return [...document.querySelectorAll('#legend tr')].map((r) => r.innerText)")
    expected = []
    for mask in masks_of(work):
        for region, voxels in (("liver", mask.array > 0), ("tumour", mask.array == 2)):
            expected.append((region, f"{voxels.sum() * mask.voxel_volume_ml:.1f} ml"))
    assert [tuple(row.split("\t")[-2:]) for row in rows] == expected

    ct = to_canonical(read_volume(work / "set/imagesTr/phantom_000.nii.gz"))
    truth = masks_of(work)[0]
    sizes = np.bincount(ndimage.label(truth.array == 2, np.ones((3, 3, 3)))[0].ravel())[1:]
    first = browser.text(".finding")
    assert first.startswith("1 of ")
    assert f"tumour in ground truth, {sizes.max() * truth.voxel_volume_ml:.1f} ml" in first
    readout = browser.text("#readout")
    assert "ground truth: tumour" in readout
    z, row, col = voxel_of(readout, ct)
    assert truth.array[z, row, col] == 2
    assert f"{ct.array[z, row, col]} HU" in readout

    browser.press("n")
    assert browser.text(".finding").startswith("2 of ")
    browser.press("p")
    assert browser.text(".finding") == first
    browser.press("d")
    assert "only in" in browser.js("return document.querySelectorAll('.finding')[1].textContent")
    assert browser.errors() == []


@pytest.mark.slow
def test_liver_is_on_the_left_and_masks_can_be_hidden(browser, work):
    browser.open_viewer(work / "scores/viewer/phantom_000.html")
    browser.press("1")
    browser.press("o")  # areas instead of outlines
    pixels = browser.canvas()
    yellow = (pixels[..., 2] < 100) & (pixels[..., 0] > 150)  # the crosshair
    cols = np.nonzero(coloured(pixels) & ~yellow)[1]
    assert len(cols) > 1000
    assert cols.mean() < pixels.shape[1] / 2
    browser.press("m")
    assert (coloured(browser.canvas()) & ~yellow).sum() < len(cols) / 20
    assert browser.errors() == []


@pytest.mark.slow
def test_mouse_keys_and_windows(browser, work):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    browser.open_viewer(work / "scores/viewer/phantom_000.html")
    browser.press("1")
    number = lambda: int(browser.text("#slice-number").split(" / ")[0])  # noqa: E731
    before = number()
    browser.press("\ue013")  # arrow up
    assert number() == before + 1
    browser.press("\ue015")
    assert number() == before
    canvas = browser.find("#canvas")
    wheel = ScrollOrigin.from_element(canvas)
    ActionChains(browser.driver).scroll_from_origin(wheel, 0, 120).perform()
    browser.wait_until(lambda: number() != before)
    browser.js("slice.value = 3; slice.dispatchEvent(new Event('input'))")
    assert number() == 4

    readout = browser.text("#readout")
    ActionChains(browser.driver).move_to_element_with_offset(canvas, -60, 40).click().perform()
    browser.wait_until(lambda: browser.text("#readout") != readout)

    pixels = browser.canvas()
    browser.find('[data-window="60/160"]').click()
    assert browser.js("return [level.value, width.value]") == ["60", "160"]
    assert browser.find('[data-window="60/160"]').get_attribute("aria-pressed") == "true"
    assert np.abs(browser.canvas() - pixels).mean() > 2
    browser.js("level.value = -600; level.dispatchEvent(new Event('change'))")
    assert browser.js("return [level.value, width.value]") == ["-600", "160"]

    browser.press("5")
    assert coloured(browser.canvas()).sum() > 1000  # the masks in 3D
    assert browser.errors() == []


@pytest.mark.slow
def test_phone(browser, work):
    browser.open_viewer(work / "scores/viewer/phantom_000.html", PHONE)
    assert browser.horizontal_overflow() <= 0
    assert browser.find('[data-view="0"]').get_attribute("aria-pressed") == "true"
    assert (browser.canvas().max(axis=-1) > 60).mean() > 0.1
    assert browser.errors() == []


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["ct", "mr"])
def test_names_with_markup_and_pages_without_masks(browser, tmp_path, modality):
    spec = PhantomSpec(shape=(8, 48, 48), spacing_mm=(25, 8, 8), modality=modality)
    image, organs = make_phantom(0, spec)
    viewer = ViewerSpec(MARKUP, is_ct=modality == "ct")
    write_viewer(tmp_path / "bare.html", image, {}, viewer)
    labels = organs.with_array(np.where(organs.array, 7, 0).astype(np.uint8))
    write_viewer(tmp_path / "named.html", image, {MARKUP: labels}, viewer)
    for page, masks in (("bare", 0), ("named", 1)):
        browser.open_viewer(tmp_path / f"{page}.html")
        assert browser.driver.title == MARKUP
        assert browser.text("#title") == MARKUP
        assert browser.js("return document.querySelectorAll('.mask').length") == masks
        assert ("HU" in browser.text("#readout")) == (modality == "ct")
        assert (browser.canvas().max(axis=-1) > 60).mean() > 0.05
        assert browser.errors() == []


@pytest.mark.slow
def test_lesions_on_an_oblique_grid(browser, tmp_path):
    spec = PhantomSpec(shape=(24, 64, 64), spacing_mm=(9, 6, 6), tumours=4, oblique=1.0)
    image, labels = make_phantom(0, spec)
    write_viewer(tmp_path / "a.html", image, {"truth": labels})
    browser.open_viewer(tmp_path / "a.html")
    image, labels = to_canonical(image), to_canonical(labels)
    assert not np.allclose(image.affine[0, 1:3], 0)
    n_lesions = int(re.match(r"1 of (\d+)", browser.text(".finding"))[1])
    for _ in range(n_lesions):
        readout = browser.text("#readout")
        assert "truth: tumour" in readout
        z, row, col = voxel_of(readout, image)
        assert labels.array[z, row, col] == 2
        assert f"{image.array[z, row, col]} HU" in readout
        browser.press("n")
    assert browser.errors() == []


@pytest.mark.slow
def test_downsampled_page_shows_the_same_position(browser, tmp_path, shared_data):
    data = shared_data / "Task03_Liver"
    image = read_volume(data / "imagesTr/liver_0.nii.gz")
    labels = read_labels(data / "labelsTr/liver_0.nii.gz")
    image = Volume(image.array[40:], image.affine)
    labels = Volume(labels.array[40:], labels.affine)
    write_viewer(tmp_path / "a.html", image, {"mask": labels}, ViewerSpec(limit_mb=2))
    browser.open_viewer(tmp_path / "a.html")
    assert "pixels" in browser.text("#notes")
    assert "mask: tumour" in browser.text("#readout")
    assert browser.errors() == []
