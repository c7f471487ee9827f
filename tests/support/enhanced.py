"""Enhanced (multi-frame) DICOM files."""

import random

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage


def enhance(folder, target):
    """Convert single-frame files to one enhanced file with shuffled frames."""
    files = sorted(folder.iterdir())
    order = random.Random(1).sample(range(len(files)), len(files))
    frames = [pydicom.dcmread(files[z]) for z in order]
    whole = frames[0]
    pixels = [frame.PixelData for frame in frames]
    whole.SOPClassUID, whole.NumberOfFrames = EnhancedCTImageStorage, len(frames)
    groups = []
    for frame in frames:
        place, values, group = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = frame.ImagePositionPatient
        values.RescaleSlope, values.RescaleIntercept = frame.RescaleSlope, frame.RescaleIntercept
        group.PlanePositionSequence = [place]
        group.PixelValueTransformationSequence = [values]
        groups.append(group)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = whole.PixelSpacing, whole.SliceThickness
    plane.ImageOrientationPatient = whole.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = groups
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del whole[keyword]
    del whole.SliceThickness, whole.RescaleSlope, whole.RescaleIntercept
    whole.PixelData = b"".join(pixels)
    target.mkdir()
    whole.save_as(target / "enhanced.dcm", enforce_file_format=True)
    return target
