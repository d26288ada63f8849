#!/usr/bin/env bash
# Echoes that a scanner numbers slice by slice are not converted, and the caller is not informed.
#
# Versions: dicom2nifti 2.6.2, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6, Python 3.11.
#
# Guess, before it was run: a gradient-echo series of three echoes and eight slices becomes one image of four
# dimensions, three volumes, whichever way its images are numbered: all slices of the first echo first, or the echoes of
# the first slice first. Echo time, echo number and position are in every header.
#
# Seen: numbered echo by echo, one image of three volumes. Numbered slice by slice, for Siemens, GE and Philips alike: no
# image. `convert_directory` returns as after success; the error inside (NOT_A_VOLUME) is printed alone. A study that is
# converted in a loop loses these scans.
#
# Output seen:
#   SIEMENS, echo by echo: (24, 32, 8, 3), means 100 200 300
#   SIEMENS, slice by slice: no file
#   GE MEDICAL SYSTEMS, slice by slice: no file
#   Philips Medical Systems, slice by slice: no file
#
# Exits non-zero if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dicom2nifti==2.6.2 pydicom==3.0.2 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
cat > look.py <<'PY'
import contextlib
import io
import warnings
from itertools import product
from pathlib import Path

import dicom2nifti
import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

N_SLICES, TE_MS = 8, (5, 12, 19)
warnings.simplefilter("ignore")


def image(series, number, z, echo, manufacturer):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    values = dict(
        Modality="MR", Manufacturer=manufacturer, PatientName="x", PatientID="x", StudyDate="20260105",
        StudyTime="101500", StudyInstanceUID=generate_uid(entropy_srcs=["study"]),
        SeriesInstanceUID=generate_uid(entropy_srcs=["series", series]), SeriesNumber=1, SeriesDescription="gre",
        FrameOfReferenceUID=generate_uid(entropy_srcs=["frame"]), AcquisitionNumber=1, InstanceNumber=number,
        ImageType=["ORIGINAL", "PRIMARY", "M", "ND"], ScanningSequence="GR", SequenceVariant="SP", ScanOptions="",
        MRAcquisitionType="3D", RepetitionTime=45, EchoTime=TE_MS[echo], EchoNumbers=echo + 1, MagneticFieldStrength=3,
        FlipAngle=15, SliceThickness=2, ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        ImagePositionPatient=[-18, -24, 2 * z], PixelSpacing=[1.5, 1.5], PatientPosition="HFS", Rows=32, Columns=24,
        SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=16, BitsStored=12, HighBit=11,
        PixelRepresentation=0,
    )
    for name, value in values.items():
        setattr(ds, name, value)
    ds.PixelData = np.full((32, 24), 100 * (echo + 1), "<u2").tobytes()
    return ds


def convert(manufacturer, order):
    name = f"{manufacturer.split()[0]}-{order.split()[0]}"
    source, out = Path("in", name), Path("out", name)
    source.mkdir(parents=True)
    out.mkdir(parents=True)
    if order == "echo by echo":
        images = [(z, e) for e, z in product(range(len(TE_MS)), range(N_SLICES))]
    else:
        images = list(product(range(N_SLICES), range(len(TE_MS))))
    for number, (z, echo) in enumerate(images, 1):
        image(name, number, z, echo, manufacturer).save_as(source / f"{number:03d}.dcm", enforce_file_format=True)
    with contextlib.redirect_stderr(io.StringIO()):
        dicom2nifti.convert_directory(source, out, compression=False, reorient=False)
    files = list(out.iterdir())
    if not files:
        return "no file"
    found = nib.load(files[0])
    return f"{found.shape}, means " + " ".join(str(int(v)) for v in found.get_fdata().mean(axis=(0, 1, 2)))


for manufacturer, order in (
    ("SIEMENS", "echo by echo"), ("SIEMENS", "slice by slice"), ("GE MEDICAL SYSTEMS", "slice by slice"),
    ("Philips Medical Systems", "slice by slice"),
):
    print(f"{manufacturer}, {order}: {convert(manufacturer, order)}")
PY
"$folder/venv/bin/python" look.py | tee seen.txt
cat > expected.txt <<'TXT'
SIEMENS, echo by echo: (24, 32, 8, 3), means 100 200 300
SIEMENS, slice by slice: no file
GE MEDICAL SYSTEMS, slice by slice: no file
Philips Medical Systems, slice by slice: no file
TXT
diff expected.txt seen.txt
