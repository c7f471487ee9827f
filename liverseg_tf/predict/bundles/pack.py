"""Packing: from a run to a bundle, a zip file or a folder."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.bundle.bundle_record import (
    BUNDLE_FILE,
    CARD_FILE,
    FORMAT,
    IMAGE_FILE,
    KIND,
    LICENCE_FILE,
    MASK_FILE,
    MEMBERS,
    BundleRecord,
    SelfTest,
)
from liverseg_tf.model.bundle.card import CardFacts, make_card
from liverseg_tf.model.bundle.keras_file import check_keras_file, repack_model
from liverseg_tf.model.bundle.shared_record import (
    check_names_nobody,
    make_shared_record,
    validation_dice,
)
from liverseg_tf.model.bundle.verify_bundle import describe_member, verify_bundle
from liverseg_tf.model.run_record import (
    MODEL_FILE,
    RUN_FILE,
    RunRecord,
    compute_model_checksum,
)
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.bundles.self_test import (
    MAX_DIFFERENCE,
    MIN_DICE,
    SelfTestOutput,
    compare_outputs,
    make_test_image,
    run_model,
)
from liverseg_tf.predict.models.run import RunPredictor
from liverseg_tf.records import convert_record

MIN_HALF_DICE = 0.999


@dataclass(frozen=True)
class PackSettings:
    """What an author says about a model.

    Args:
        name: Name of the model: lower-case letters, digits, '.', '_' and '-'.
        version: Version of the model.
        trained_on: What the model was trained on, in a few words.
        licence: Licence of the model, such as CC-BY-4.0.
        attribution: Whom the licences of model and data ask to name.
        licence_text: Text of the licence; None names it only.
        card: Sections of the model card in Markdown; None writes them from what is known.
        score_tables: Tables of scores in Markdown by their title.
    """

    name: str
    version: str
    trained_on: str
    licence: str
    attribution: str = ""
    licence_text: str | None = None
    card: str | None = None
    score_tables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PackedBundle:
    """A bundle that was written.

    Args:
        record: Its record.
        half_dice: Lowest Dice of a region in the self-test between the masks of float16 kernels and
            those of float32.
    """

    record: BundleRecord
    half_dice: float


def pack_bundle(run: Path, out: Path, settings: PackSettings) -> PackedBundle:
    """Pack a run.

    The kernels are stored as float16 if this leaves the masks of the self-test as they are, except
    for single voxels at borders (a Dice of at least `MIN_HALF_DICE` for every region; see
    `compare_outputs`).

    Args:
        run: Folder of a finished run.
        out: Path of the bundle: a zip file if it ends in .zip, or else a folder.
        settings: What the author says about the model.

    Raises:
        SettingsError: If a setting cannot be used, or the model card lacks a section.
        LiverSegError: If the run has not finished, its model is more than a network of Keras'
            layers, a text names a case, or the bundle cannot be written or exists.
    """
    run, out = Path(run), Path(out)
    run_record = RunRecord.read(run)
    run_record.check_finished(run)
    run_record.check_model(run)
    check_keras_file(run / MODEL_FILE)
    if out.exists() or out.is_symlink():
        raise LiverSegError(f"Expected a new path for the bundle. Received {out}, which exists.")
    facts = _collect_facts(run, run_record, settings)
    check_names_nobody(_own_texts(settings), run)
    texts = {CARD_FILE: make_card(facts, settings.card), LICENCE_FILE: _licence_text(settings)}
    with tempfile.TemporaryDirectory(prefix="liverseg-pack-") as name:
        folder = Path(name) / "bundle"
        folder.mkdir()
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8", newline="\n")
        output, half_dice = _write_model(run, run_record.network, folder)
        is_half = half_dice >= MIN_HALF_DICE
        record = _make_record(settings, facts, folder, output, is_half)
        text = json.dumps(record.to_json(), indent=2) + "\n"
        (folder / BUNDLE_FILE).write_text(text, encoding="utf-8", newline="\n")
        verify_bundle(folder)
        _write(folder, out)
    return PackedBundle(record, half_dice)


def _collect_facts(run: Path, record: RunRecord, settings: PackSettings) -> CardFacts:
    network = record.network
    return CardFacts(
        settings.name,
        settings.version,
        settings.trained_on,
        settings.licence,
        settings.attribution,
        dict(zip(network.regions.names, network.regions.written_labels, strict=True)),
        "CT" if network.tiles.percentiles is None else "MR",
        {side: len(names) for side, names in record.split.items()},
        validation_dice(run),
        settings.score_tables,
    )


def _own_texts(settings: PackSettings) -> dict[str, str]:
    """Return what the author has written; all other texts are made from numbers and choices."""
    described = (settings.name, settings.version, settings.trained_on, settings.licence)
    return {
        "the model card": settings.card or "",
        "the text of the licence": settings.licence_text or "",
        "the description": "\n".join((*described, settings.attribution, *settings.score_tables)),
    }


def _licence_text(settings: PackSettings) -> str:
    if settings.licence_text is not None:
        return settings.licence_text.strip() + "\n"
    attribution = f"\n\nAttribution: {settings.attribution}" if settings.attribution else ""
    return f"The model {settings.name} is licensed under {settings.licence}.{attribution}\n"


def _write_model(run: Path, network: NetworkSpec, folder: Path) -> tuple[SelfTestOutput, float]:
    """Write the model, its record and the self-test, with float16 kernels if they suffice.

    Returns:
        What the model makes of the self-test's image, and the lowest Dice of a region with float16
        kernels.
    """
    image, content = make_test_image(network), (run / MODEL_FILE).read_bytes()
    write_volume(folder / IMAGE_FILE, image)
    exact = run_model(image, RunPredictor(run, "float32"))
    _write_run(run, folder, repack_model(content, half=True))
    output = run_model(image, RunPredictor(folder, "float32"))
    dice = compare_outputs(exact, output, network.regions)
    if dice < MIN_HALF_DICE:
        _write_run(run, folder, repack_model(content, half=False))
        output = exact
    write_labels(folder / MASK_FILE, output.labels)
    return output, dice


def _write_run(run: Path, folder: Path, content: bytes) -> None:
    (folder / MODEL_FILE).write_bytes(content)
    record = make_shared_record(run, compute_model_checksum(folder))
    (folder / RUN_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _make_record(
    settings: PackSettings, facts: CardFacts, folder: Path, output: SelfTestOutput, is_half: bool
) -> BundleRecord:
    value = {
        "kind": KIND,
        "format": FORMAT,
        "name": settings.name,
        "version": settings.version,
        "trained_on": settings.trained_on,
        "licence": settings.licence,
        "attribution": settings.attribution,
        "regions": list(facts.regions),
        "modality": facts.modality,
        "weights": "float16" if is_half else "float32",
        "members": {name: vars(describe_member((folder / name).read_bytes())) for name in MEMBERS},
        "self_test": vars(SelfTest(MIN_DICE, MAX_DIFFERENCE, output.probabilities)),
    }
    try:
        return convert_record(value, BundleRecord, "the settings of the bundle")
    except LiverSegError as error:
        raise SettingsError(str(error)) from error


def _write(folder: Path, out: Path) -> None:
    """Write the bundle to its final place; a zip file has no times, so that it has one checksum."""
    with replacing(out, overwrite=False) as partial:
        if out.suffix.lower() != ".zip":
            shutil.copytree(folder, partial)
            return
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in (BUNDLE_FILE, *MEMBERS):
                info = zipfile.ZipInfo(name)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(info, (folder / name).read_bytes())
