"""`liverseg convert`: masks in other formats."""

import click

from liverseg_tf.choices import ALGORITHMS, CONVERTED_FORMATS, DICOM_FORMATS
from liverseg_tf.cli.shared import options
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.terminal import say, say_warnings


@command("convert")
@click.argument("mask", type=options.ANY_PATH)
@click.argument("image", type=options.ANY_PATH, required=False)
@click.option("-o", "--out", type=options.FOLDER, required=True, help="Folder for the files.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(CONVERTED_FORMATS),
    multiple=True,
    default=["nifti"],
    help="Output format, as in `liverseg predict`. seg (DICOM-SEG, needs the extra 'dicom') and "
    "rtstruct need the DICOM series as IMAGE. Repeatable.",
)
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="NAME=LABEL[,LABEL]",
    show_default="names and numbers of the segments",
    help="Name of a region and its labels, such as --region liver=1,2 --region tumour=2. A label "
    "map needs it in every format but nifti. Repeatable.",
)
@options.segment
@click.option(
    "--name",
    metavar="NAME",
    show_default="that of MASK",
    help="Name of the files, without a suffix.",
)
@click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS),
    show_default="as MASK says, or manual",
    help="How the segments were made, which DICOM-SEG and RTSTRUCT state.",
)
@click.option(
    "--series-description",
    metavar="TEXT",
    default="Converted segmentation",
    help="Description of the series of DICOM results.",
)
@click.option(
    "--series-number",
    type=int,
    metavar="N",
    show_default="1000 above that of the image",
    help="Number of the series of DICOM-SEG; RTSTRUCT has the next one.",
)
@options.form
@options.channel
def convert(mask, image, out, formats, regions, segments, name, **settings) -> None:
    """Convert a mask to other formats, with the names of its segments.

    MASK is a label map (NIfTI, MetaImage or NRRD), a DICOM-SEG, an RTSTRUCT or a segmentation of
    3D Slicer (.seg.nrrd). IMAGE is its image: a file, or the folder of its DICOM series. A
    DICOM-SEG and an RTSTRUCT need it. Files are written to OUT, on the grid of IMAGE, without
    interpolation: NAME.nii.gz, NAME.seg.dcm, NAME.rtstruct.dcm, NAME_REGION.stl, NAME.seg.nrrd, and
    a description of the labels for ITK-SNAP, NAME.labels.txt.

    Without --region, segments keep their names and numbers. Voxels of several segments get a label
    of their own, which the output lists.

    A mask on another grid than IMAGE, or of another series, is refused.
    """
    from liverseg_tf.ct.regions import Regions
    from liverseg_tf.ct.segments.segment_names import SegmentNames
    from liverseg_tf.errors import SettingsError
    from liverseg_tf.model.identity import ModelIdentity
    from liverseg_tf.predict.outputs.case_outputs import OutputFormats, write_outputs
    from liverseg_tf.predict.outputs.convert_mask import (
        UNNAMED_FORMATS,
        name_of_mask,
        read_mask_to_convert,
    )
    from liverseg_tf.predict.outputs.dicom_header import DicomHeader

    if segments and not regions:
        raise SettingsError("Expected --region together with --segment. Received no --region.")
    names = SegmentNames.parse(Regions.parse(regions), segments) if regions else None
    outputs = OutputFormats(formats)  # checked before the mask is read
    found = read_mask_to_convert(mask, image, names, settings["channel"], settings["form"])
    if found.regions is None and set(outputs.formats) - set(UNNAMED_FORMATS):
        raise SettingsError(
            f"Expected the names of the labels of {mask} for --format "
            f"{', '.join(f for f in outputs.formats if f not in UNNAMED_FORMATS)}. Received none: "
            "use --region, such as --region liver=1,2 --region tumour=2."
        )
    algorithm = settings["algorithm"] or ("automatic" if found.automatic else "manual")
    header = DicomHeader(
        ModelIdentity("converted mask", "unknown"),
        settings["series_description"],
        settings["series_number"],
        algorithm=algorithm,
    )
    written = write_outputs(
        out, name or name_of_mask(mask), found.case, OutputFormats(formats, header=header)
    )
    say_warnings({str(mask): found.case.warnings})
    if found.regions is not None:
        say(f"labels: {found.regions}")
    for path in written:
        say(f"Written: {path}")
    if set(DICOM_FORMATS) & set(formats) and not settings["algorithm"]:
        say(f"The DICOM results say that the segments are {algorithm} (--algorithm).")
