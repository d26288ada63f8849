#!/usr/bin/env bash
# A processed susceptibility-weighted image is guessed to be the magnitude; the magnitude itself gets no guess.
#
# Versions: dcm2niix 1.0.20260724, pydicom 3.0.2, numpy 2.4.6, Python 3.11.
#
# Guess, before it was run: of the series that Siemens' SWI sequence gives (magnitude, phase, projection, weighted image),
# the sidecar's BidsGuess calls the weighted image (ImageType ... M\SWI\NORM) swi, or leaves it without a guess, and calls
# the magnitude and the phase part-mag and part-phase.
#
# Seen: the weighted image alone has a guess, and it is part-mag_T2starw. Magnitude and phase have none. Files named by
# the guess pair the phase of a scan with an image that was multiplied by a mask made of that phase.
#
# Output seen:
#   Mag_Images: no guess
#   Pha_Images: no guess
#   mIP_Images: no guess
#   SWI_Images: anat _acq-swi3_run-5_part-mag_T2starw
#
# Exits non-zero if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 pydicom==3.0.2 numpy==2.4.6
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


random = np.random.default_rng(0)
for series, name, kind in [
    (2, "Mag_Images", ["M", "ND"]), (3, "Pha_Images", ["P", "ND"]), (4, "mIP_Images", ["MNIP", "NORM", "ND"]),
    (5, "SWI_Images", ["M", "SWI", "NORM", "ND"]),
]:
    for k in range(8):
        ds = header(
            series, InstanceNumber=k + 1, ImagePositionPatient=[0, 0, 2 * k], SeriesDescription=name,
            ImageType=["ORIGINAL", "PRIMARY", *kind], ProtocolName="t2_swi_tra", SequenceName="*swi3d1r",
        )
        if kind[0] == "P":
            ds.RescaleSlope, ds.RescaleIntercept = 2, -4096
        ds.PixelData = random.integers(0, 4096, (32, 24)).astype("<u2").tobytes()
        ds.save_as(Path("in") / f"{name}_{k}.dcm", enforce_file_format=True)
PY
"$folder/venv/bin/python" make.py
"$folder/venv/bin/dcm2niix" -g i -b y -z n -f %s -o out in > log.txt
cat > look.py <<'PY'
import json
from pathlib import Path

for path in sorted(Path("out").glob("*.json")):
    sidecar = json.loads(path.read_text())
    print(f"{sidecar['SeriesDescription']}:", *sidecar.get("BidsGuess", ["no guess"]))
PY
"$folder/venv/bin/python" look.py | tee seen.txt
cat > expected.txt <<'TXT'
Mag_Images: no guess
Pha_Images: no guess
mIP_Images: no guess
SWI_Images: anat _acq-swi3_run-5_part-mag_T2starw
TXT
diff expected.txt seen.txt
