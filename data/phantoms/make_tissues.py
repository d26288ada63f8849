"""Make icbm152_tissues.npz from the ICBM152 2009a maps that nilearn carries: run once, the result is kept.

Grey and white matter and the brain as 0 to 255, on 2 mm. Needs `pip install nilearn`.
"""

from pathlib import Path

import numpy as np
from nilearn import datasets, image
from scipy import ndimage

VOXEL_MM = 2.0
SIGMA_MM = 0.7


def main() -> None:
    """Resample, scale to bytes and save."""
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = (-96.0, -132.0, -78.0)
    shape = (97, 116, 97)
    maps = {
        "gm": datasets.load_mni152_gm_template(resolution=1),
        "wm": datasets.load_mni152_wm_template(resolution=1),
        "t1": datasets.load_mni152_template(resolution=1),
    }
    volumes = {}
    for name, volume in maps.items():
        data = np.asarray(volume.get_fdata(), dtype=np.float32)
        smooth = image.new_img_like(volume, ndimage.gaussian_filter(data / data.max(), SIGMA_MM))
        volumes[name] = image.resample_img(
            smooth, affine, shape, copy_header=True, force_resample=True
        ).get_fdata()
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(volumes.pop("t1") > 0.1, iterations=2))
    volumes["brain"] = ndimage.gaussian_filter(filled.astype(np.float32), 0.7)
    packed = {name: np.clip(np.rint(255 * v), 0, 255).astype(np.uint8) for name, v in volumes.items()}
    np.savez_compressed(Path(__file__).with_name("icbm152_tissues.npz"), affine=affine, **packed)


if __name__ == "__main__":
    main()
