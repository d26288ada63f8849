#!/usr/bin/env bash
# Channels of a receive coil become volumes of one file, which is named after one of them.
#
# Versions: dcm2niix 1.0.20260724, pydicom 3.0.2, nibabel 5.4.2, numpy 2.4.6, Python 3.11.
#
# Guess, before it was run: a series with the images of two channels (Siemens, uncombined: the private coil name H1, then
# H2; instance numbers 1 to 16) becomes two files, image_cH1 and image_cH2, since the ending with the coil's name exists.
#
# Seen: one file of four dimensions. Its name and its sidecar state the first channel alone, so that both look like
# repetitions of that one. A pipeline that takes the first volume uses one channel as the image; one that averages them
# adds the phase of two.
#
# Output seen:
#   files: image_cH1.nii
#   shape: (24, 32, 8, 2)
#   mean of each volume: 100 200
#   channels in the sidecar: H1
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


for c, channel in enumerate(("H1", "H2")):
    for k in range(8):
        ds = header(2, InstanceNumber=8 * c + k + 1, ImagePositionPatient=[0, 0, 2 * k])
        ds.private_block(0x51, "SIEMENS MR HEADER", create=True).add_new(0x0F, "LO", channel)
        ds.PixelData = np.full((32, 24), 100 * (c + 1), "<u2").tobytes()
        ds.save_as(Path("in") / f"{channel}_{k}.dcm", enforce_file_format=True)
PY
"$folder/venv/bin/python" make.py
"$folder/venv/bin/dcm2niix" -g i -b y -z n -f image -o out in > log.txt
cat > look.py <<'PY'
import json
from pathlib import Path

import nibabel as nib

files = sorted(Path("out").glob("*.nii"))
image = nib.load(files[0])
sidecar = json.loads(files[0].with_suffix(".json").read_text())
print("files:", " ".join(f.name for f in files))
print("shape:", image.shape)
print("mean of each volume:", *(int(image.get_fdata()[..., v].mean()) for v in range(image.shape[3])))
print("channels in the sidecar:", *sorted({"H1", "H2"} & {str(v) for v in sidecar.values()}))
PY
"$folder/venv/bin/python" look.py | tee seen.txt
cat > expected.txt <<'TXT'
files: image_cH1.nii
shape: (24, 32, 8, 2)
mean of each volume: 100 200
channels in the sidecar: H1
TXT
diff expected.txt seen.txt
