"""Inputs of `liverseg predict`: paths, and studies in archives, to which results are sent."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from liverseg_tf.cli.shared.terminal import say
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count


@dataclass
class Inputs:
    """The images of all inputs.

    Args:
        images: Images by case name.
        failures: Error message, one line, by the name of the case or the path of the input.
        archives: Archive from which a case was fetched, by case name.
    """

    images: dict = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    archives: dict = field(default_factory=dict)

    def check_can_send(self) -> None:
        """Check that there is an archive to which results can be sent.

        Raises:
            click.UsageError: If no input is a study in an archive.
        """
        if not self.archives:
            raise click.UsageError(
                "--send stores results in the archive of the images. Name them as "
                "dicomweb://HOST:PORT/PATH/studies/UID."
            )

    def send(self, outputs, folder: Path, result) -> None:
        """Store the DICOM results of all cases that were predicted in the archives of their images.

        Args:
            outputs: Formats of the results; see `OutputFormats`.
            folder: Folder of the results.
            result: Outcome of the prediction, to which failures are added.
        """
        from liverseg_tf.predict.dicomweb.store_results import store_results

        for name in (*result.written, *result.kept):
            archive = self.archives.get(name)
            if archive is None:
                continue
            try:
                stored, kept = store_results(archive, outputs.dicom_files(folder, name))
            except LiverSegError as error:
                result.fail(name, str(error.about(name)))
                continue
            held = f", {kept} were there already" if kept else ""
            say(f"{name}: {count(stored, 'instance')} stored in {archive.address.service}{held}")


@contextmanager
def fetch_inputs(
    inputs: tuple[str, ...], out: Path, modality: str, tls_ca: Path | None
) -> Iterator[Inputs]:
    """Find the images of all inputs; those in archives are fetched, and removed at the end.

    Args:
        inputs: Paths, and addresses of studies.
        out: Folder of the masks, in which the images are kept meanwhile.
        modality: CT or MR: which series of a study are fetched.
        tls_ca: File with the CA certificates (PEM) that verify an archive.

    Raises:
        LiverSegError: If no image is found, or an archive cannot be asked.
        SettingsError: If an address is not valid.
    """
    from liverseg_tf.predict.batch.find_images import find_images

    addresses = [text for text in inputs if "://" in text]
    paths = [Path(text) for text in inputs if "://" not in text]
    found = Inputs()
    if paths:
        local = find_images(paths)
        found.images |= local.images
        found.failures |= local.failures
    with ExitStack() as opened:
        if addresses:
            _fetch(addresses, out, modality, tls_ca, found, opened)
        yield found


def _fetch(
    addresses: list[str],
    out: Path,
    modality: str,
    tls_ca: Path | None,
    found: Inputs,
    opened: ExitStack,
) -> None:
    """Fetch the studies of addresses into a folder that is removed when `opened` is closed."""
    from liverseg_tf.atomic import create_folder
    from liverseg_tf.partials import partial_path, remove
    from liverseg_tf.predict.dicomweb.address import Credentials, StudyAddress
    from liverseg_tf.predict.dicomweb.archive import Archive
    from liverseg_tf.predict.dicomweb.fetch_study import fetch_study

    studies = [StudyAddress.parse(text) for text in dict.fromkeys(addresses)]
    credentials = [Credentials.read(os.environ, study) for study in studies]
    # the next run removes the folder if this process is killed
    folder = partial_path(Path(out).absolute() / "dicomweb")
    create_folder(folder.parent)
    folder.mkdir(mode=0o700)
    opened.callback(remove, folder)
    for number, (study, secret) in enumerate(zip(studies, credentials, strict=True)):
        own = folder / str(number)
        create_folder(own)
        archive = opened.enter_context(Archive(study, secret, tls_ca))
        fetched = fetch_study(archive, own, modality)
        for line in fetched.skipped:
            say(f"Skipped {line}.", err=True)
        found.failures |= fetched.failures
        for name, series in fetched.images.items():
            found.images[name] = series
            found.archives[name] = archive
