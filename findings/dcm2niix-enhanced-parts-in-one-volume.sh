#!/usr/bin/env bash
# Magnitude and phase of one enhanced file become one volume twice as tall, its slices in turn.
#
# Versions: dcm2niix 1.0.20260724, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6, Python 3.11.
#
# Guess, before it was run: an enhanced MR file (Siemens) whose frames alternate between magnitude and phase, each stated
# in its own functional group (ComplexImageComponent, FrameType, rescale), as the dimension index states, becomes two
# files of 8 slices, image and image_ph, as such a file of Philips does.
#
# Seen: one file of 16 slices with the spacing of the 8. Every second slice is phase. The magnitude has the slope and
# intercept of the phase, so that 100 reads -3896. The exit code is 0; only the ending _phMag tells.
#
# Output seen:
#   files: image_phMag.nii
#   shape and spacing: (24, 32, 16) 2.0
#   first slices read: -3896 2000 -3896 2000
#
# Exits non-zero if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
mkdir in out
cat > make.py <<'PY'
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

STUDY, FRAME = generate_uid(), generate_uid()


def header(series, **values):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    standard = dict(
        Modality="MR", Manufacturer="SIEMENS", PatientName="x", PatientID="x", StudyDate="20260105", StudyTime="101500",
        StudyInstanceUID=STUDY, FrameOfReferenceUID=FRAME, AcquisitionNumber=1, AcquisitionTime="101600.000000",
        ProtocolName="gre", SeriesDescription="gre", ImageType=["ORIGINAL", "PRIMARY", "M", "ND"],
        ScanningSequence="GR", SequenceVariant="SP", ScanOptions="", MRAcquisitionType="3D", SequenceName="*fl3d1",
        RepetitionTime=30, EchoTime=20, EchoNumbers=1, MagneticFieldStrength=3, ImagingFrequency=123.25, FlipAngle=15,
        SliceThickness=2, ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1.5, 1.5], PatientPosition="HFS",
        Rows=32, Columns=24, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=16,
        BitsStored=12, HighBit=11, PixelRepresentation=0,
    )
    for name, value in {**standard, **values}.items():
        setattr(ds, name, value)
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[STUDY, str(series)])
    ds.SeriesNumber = series
    return ds


from pydicom.uid import EnhancedMRImageStorage


def item(**values):
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return [ds]


ds = header(2, InstanceNumber=1, ImageType=["ORIGINAL", "PRIMARY", "T1", "MIXED"], ComplexImageComponent="MIXED",
            EchoPulseSequence="GRADIENT", SpecificCharacterSet="ISO_IR 100")
ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
for name in ("EchoTime", "EchoNumbers", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
    delattr(ds, name)
organization = generate_uid()
ds.DimensionOrganizationSequence = item(DimensionOrganizationUID=organization)
ds.DimensionIndexSequence = [
    *item(DimensionOrganizationUID=organization, DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111),
    *item(DimensionOrganizationUID=organization, DimensionIndexPointer=0x00089208, FunctionalGroupPointer=0x00189226),
]
shared = Dataset()
shared.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
shared.PixelMeasuresSequence = item(PixelSpacing=[1.5, 1.5], SliceThickness=2, SpacingBetweenSlices=2)
shared.MREchoSequence = item(EffectiveEchoTime=20.0)
ds.SharedFunctionalGroupsSequence = [shared]
groups, pixels = [], b""
for k in range(8):
    for c, (part, slope, inter, stored) in enumerate((("MAGNITUDE", 1, 0, 100), ("PHASE", 2, -4096, 3048))):
        group = Dataset()
        group.MRImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "T1", part[0]], ComplexImageComponent=part)
        group.FrameContentSequence = item(
            StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[k + 1, c + 1],
            FrameAcquisitionDateTime="20260105101600.00",
        )
        group.PlanePositionSequence = item(ImagePositionPatient=[0, 0, 2 * k])
        group.PixelValueTransformationSequence = item(RescaleSlope=slope, RescaleIntercept=inter, RescaleType="US")
        groups.append(group)
        pixels += np.full((32, 24), stored, "<u2").tobytes()
ds.PerFrameFunctionalGroupsSequence, ds.NumberOfFrames, ds.PixelData = groups, len(groups), pixels
ds.save_as(Path("in") / "enhanced.dcm", enforce_file_format=True)
PY
"$folder/venv/bin/python" make.py
"$folder/venv/bin/dcm2niix" -g i -b y -z n -f image -o out in > log.txt
cat > look.py <<'PY'
from pathlib import Path

import nibabel as nib

files = sorted(Path("out").glob("*.nii"))
image = nib.load(files[0])
print("files:", " ".join(f.name for f in files))
print("shape and spacing:", image.shape, float(image.header["pixdim"][3]))
print("first slices read:", *(int(image.get_fdata()[..., k].mean()) for k in range(4)))
PY
"$folder/venv/bin/python" look.py | tee seen.txt
cat > expected.txt <<'TXT'
files: image_phMag.nii
shape and spacing: (24, 32, 16) 2.0
first slices read: -3896 2000 -3896 2000
TXT
diff expected.txt seen.txt
