"""Loop over the surroundings of chosen voxels: second moments of a weight."""

from typing import Any

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def local_moments(weight: Any, voxels: Any, offsets: Any, steps_mm: Any, out: Any) -> None:
    """Fill `out` (n, 6) with the covariance xx, yy, zz, xy, xz, yz of a weight's places around voxels (n, 3), mm2.

    `offsets` (m, 3) are the voxels of the surroundings, `steps_mm` (m, 3) the same in mm.
    """
    for n in range(voxels.shape[0]):
        total, x, y, z = 0.0, 0.0, 0.0, 0.0
        xx, yy, zz, xy, xz, yz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for m in range(offsets.shape[0]):
            i, j, k = (
                voxels[n, 0] + offsets[m, 0],
                voxels[n, 1] + offsets[m, 1],
                voxels[n, 2] + offsets[m, 2],
            )
            if (
                i < 0
                or j < 0
                or k < 0
                or i >= weight.shape[0]
                or j >= weight.shape[1]
                or k >= weight.shape[2]
            ):
                continue
            w = float(weight[i, j, k])
            if w <= 0:
                continue
            a, b, c = steps_mm[m, 0], steps_mm[m, 1], steps_mm[m, 2]
            total += w
            x, y, z = x + w * a, y + w * b, z + w * c
            xx, yy, zz = xx + w * a * a, yy + w * b * b, zz + w * c * c
            xy, xz, yz = xy + w * a * b, xz + w * a * c, yz + w * b * c
        if total <= 0:
            out[n] = 0
            continue
        x, y, z = x / total, y / total, z / total
        out[n, 0], out[n, 1], out[n, 2] = xx / total - x * x, yy / total - y * y, zz / total - z * z
        out[n, 3], out[n, 4], out[n, 5] = xy / total - x * y, xz / total - x * z, yz / total - y * z
