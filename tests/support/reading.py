"""Reading of images that tests wrote: refusals, and series with compressed pixels."""

import pytest

from liverseg_tf.ct.images import read_image
from liverseg_tf.errors import LiverSegError


def check_refused(path, *words):
    """Check that an image is refused in one line that contains its name and these words."""
    with pytest.raises(LiverSegError) as caught:
        read_image(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("Expected ", "Received", path.name, *words):
        assert word in message, message


def compress_with_gdcm(folder, kind):
    """Compress the pixels of all files of a folder with GDCM, in a transfer syntax of GDCM."""
    gdcm = pytest.importorskip("gdcm")
    for path in folder.iterdir():
        reader, change = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax()
        reader.SetFileName(str(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    return folder


def set_tags(index=None, /, **values):
    """Return an edit that sets tags of one slice, or of all; a value of None deletes the tag."""

    def edit(dataset, z):
        if index in (None, z):
            for keyword, value in values.items():
                if value is None:
                    del dataset[keyword]
                else:
                    setattr(dataset, keyword, value)

    return edit
