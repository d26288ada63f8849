#!/usr/bin/env bash
# Two readers take a voxel of one NIfTI file to different places.
#
# Versions: nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6, Python 3.11.
#
# Guess, before it was run: where an image has both transforms, both readers take the sform;
# a file whose sform is coded 2 (aligned to another image) is read like one coded 1.
#
# Seen: nibabel takes the sform whenever its code is above 0. SimpleITK takes the qform where the sform's code is 2 and
# the qform's is 1 (scanner), and also, without a word, where the sform holds a shear of 2 %. A field map turned by 10
# degrees in its sform therefore has another direction of B0, and a lesion other coordinates, in each of the two. With a
# shear and no qform nibabel reads the file and SimpleITK refuses it.
#
# Output seen (first row of voxel-to-world, RAS+ mm):
#   sform code 1, qform code 1, 10 degrees apart: nibabel 0.985 -0.174 0.000 | SimpleITK 0.985 -0.174 0.000
#   sform code 2, qform code 1, 10 degrees apart: nibabel 0.985 -0.174 0.000 | SimpleITK 1.000 0.000 0.000
#   sform code 1 with 2 % shear, qform code 1:    nibabel 1.000 0.020 0.000 | SimpleITK 1.000 0.000 0.000
#   sform code 1 with 2 % shear, no qform:        nibabel 1.000 0.020 0.000 | SimpleITK refuses: orthonormal
#
# Exits non-zero if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
cd "$folder"
cat > look.py <<'PY'
import warnings

import nibabel as nib
import numpy as np
import SimpleITK as sitk

sitk.ProcessObject.SetGlobalWarningDisplay(False)
warnings.simplefilter("ignore")


def turned(degrees):
    a, out = np.deg2rad(degrees), np.eye(4)
    out[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return out


def rows(name, sform, sform_code, qform):
    image = nib.Nifti1Image(np.zeros((8, 9, 10), np.float32), None)
    image.set_sform(sform, sform_code)
    if qform is not None:
        image.set_qform(qform, 1)
    image.header.set_xyzt_units("mm")
    nib.save(image, name)
    first = " ".join(f"{v + 0.0:.3f}" for v in nib.load(name).affine[0, :3])
    try:
        read = sitk.ReadImage(name)
        # SimpleITK is LPS: the first two world axes change sign.
        world = np.diag([-1, -1, 1]) @ (np.reshape(read.GetDirection(), (3, 3)) * np.array(read.GetSpacing()))
        second = " ".join(f"{v + 0.0:.3f}" for v in np.where(np.abs(world[0]) < 5e-4, 0.0, world[0]))
    except RuntimeError as error:
        second = "refuses: orthonormal" if "orthonormal" in str(error) else "refuses"
    return f"nibabel {first} | SimpleITK {second}"


shear = np.eye(4)
shear[0, 1] = 0.02
print("sform code 1, qform code 1, 10 degrees apart:", rows("a.nii", turned(10), 1, turned(0)))
print("sform code 2, qform code 1, 10 degrees apart:", rows("b.nii", turned(10), 2, turned(0)))
print("sform code 1 with 2 % shear, qform code 1:", rows("c.nii", shear, 1, turned(0)))
print("sform code 1 with 2 % shear, no qform:", rows("d.nii", shear, 1, None))
PY
"$folder/venv/bin/python" look.py 2>/dev/null | tee seen.txt
cat > expected.txt <<'TXT'
sform code 1, qform code 1, 10 degrees apart: nibabel 0.985 -0.174 0.000 | SimpleITK 0.985 -0.174 0.000
sform code 2, qform code 1, 10 degrees apart: nibabel 0.985 -0.174 0.000 | SimpleITK 1.000 0.000 0.000
sform code 1 with 2 % shear, qform code 1: nibabel 1.000 0.020 0.000 | SimpleITK 1.000 0.000 0.000
sform code 1 with 2 % shear, no qform: nibabel 1.000 0.020 0.000 | SimpleITK refuses: orthonormal
TXT
diff expected.txt seen.txt
