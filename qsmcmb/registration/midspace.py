"""Mid-space of a subject's sessions: a frame that lies in the middle of all, so that none is favoured.

Pairs of sessions are registered, T_ij from session i to session j: two sessions in both directions, of more each with
the one before it and with the first, the direction in turns. The poses P_i (mid-space to session) are those of least
squares for P_j P_i^-1 = T_ij: first the rotations, by means of what the neighbours say, then the shifts
between the brains' centroids. What the pairs contradict each other by is the error of the registration. The mid-space
is fixed by the mean rotation and the mean shift being none.

A pair counts where brains overlap and look alike. Sessions that no chain of such pairs joins to most of the others are
refused: they show another head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from qsmcmb.registration.rigid import MIN_DICE, Image, RigidTransform, fit_rigid
from qsmcmb.registration.similarity import MIN_SIMILARITY, brain_similarity
from qsmcmb.typing import FloatArray

__all__ = ("MidSpace", "PairFit", "join_poses", "register_sessions")

MAX_STEPS = 200
"""Largest number of rounds of the rotations' means."""
TOLERANCE_RAD = 1e-10
"""Largest change of a rotation at which the rounds end."""
LEAST_ERROR_MM = 0.2
"""Error that the agreement of the pairs does not show, mm: a fifth of a voxel."""
EVERY = 97
"""Brain voxels, one of so many, at which transforms are compared."""


class PairFit(NamedTuple):
    """Registration of one session to another.

    Parameters
    ----------
    fixed, moving : int
        Numbers of the sessions.
    transform : RigidTransform
        From fixed to moving scanner coordinates.
    similarity : float
        Correlation of the brains' structure, -1 to 1.

    Examples
    --------
    >>> PairFit(0, 1, RigidTransform(np.eye(4), 0.98), 0.2).is_same_head
    False
    """

    fixed: int
    moving: int
    transform: RigidTransform
    similarity: float

    @property
    def is_same_head(self) -> bool:
        """Whether brains overlap and look alike."""
        return self.transform.dice >= MIN_DICE and self.similarity >= MIN_SIMILARITY


class MidSpace(NamedTuple):
    """Poses of a subject's sessions.

    Parameters
    ----------
    poses : tuple of RigidTransform or None
        From mid-space to each session's scanner coordinates; None for a session that is refused.
    error_mm : tuple of float
        Error of each pose at the brain, mm (rms): what the pairs contradict each other by; NaN where refused.
    pairs : tuple of PairFit
        Registrations that were made.

    Examples
    --------
    >>> MidSpace((RigidTransform(np.eye(4), 1.0), None), (0.2, float("nan")), ()).poses[1] is None
    True
    """

    poses: tuple[RigidTransform | None, ...]
    error_mm: tuple[float, ...]
    pairs: tuple[PairFit, ...]


def register_sessions(images: Sequence[Image]) -> MidSpace:
    """Register all sessions of a subject to their mid-space.

    Parameters
    ----------
    images : sequence of Image
        Magnitude-like volumes of the same contrast, with brain masks.

    Returns
    -------
    MidSpace
        Poses, errors and pairs.

    References
    ----------
    Reuter M, Schmansky NJ, Rosas HD, Fischl B. Within-subject template estimation for unbiased longitudinal image
    analysis. NeuroImage 2012;61:1402-1418. doi:10.1016/j.neuroimage.2012.02.084

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((16, 16, 16), 2.0)
    >>> x, y, z = np.meshgrid(*3 * [np.arange(16) - 7.5], indexing="ij")
    >>> mask = x**2 + (1.2 * y) ** 2 + (1.4 * z) ** 2 < 40
    >>> image = Image((100 + x + y * z).astype(np.float32), mask, grid, "baseline")
    >>> register_sessions([image, image]).poses[0] is not None
    True
    """
    wanted = sorted({(i, j) for j in range(1, len(images)) for i in (j - 1, 0)})
    # One session favoured by the metric's sampling would be so by all pairs: every other one goes the other way.
    wanted = [(i, j) if k % 2 == 0 else (j, i) for k, (i, j) in enumerate(wanted)]
    if len(images) == 2:
        wanted.append((1, 0))
    pairs = []
    for fixed, moving in wanted:
        transform = fit_rigid(images[fixed], images[moving])
        alike = brain_similarity(images[fixed], images[moving], transform.matrix)
        pairs.append(PairFit(fixed, moving, transform, alike))
    points = [image.grid.to_world(np.argwhere(image.mask)[::EVERY].astype(np.float64)) for image in images]
    return join_poses(pairs, points)


def join_poses(pairs: Sequence[PairFit], points_mm: Sequence[FloatArray]) -> MidSpace:
    """Return the poses that agree best with registrations of pairs.

    Parameters
    ----------
    pairs : sequence of PairFit
        Registrations; those of two heads are left out.
    points_mm : sequence of ndarray of shape (n, 3)
        Points of each session's brain, scanner RAS+ mm.

    Returns
    -------
    MidSpace
        Poses of the sessions that most others are joined to (of the first, where two groups are as large).

    Examples
    --------
    >>> shift = np.eye(4)
    >>> shift[0, 3] = 4.0
    >>> pairs = [PairFit(0, 1, RigidTransform(shift, 1.0), 0.9)]
    >>> points = np.random.default_rng(0).normal(0, 40, (50, 3))
    >>> found = join_poses(pairs, [points, points + [4.0, 0, 0]])
    >>> [np.round(pose.apply(np.zeros(3))[0, 0], 6).item() for pose in found.poses]
    [-2.0, 2.0]
    """
    n = len(points_mm)
    good = [pair for pair in pairs if pair.is_same_head]
    members = _largest_group(n, good)
    good = [pair for pair in good if pair.fixed in members]
    centroids = np.array([points.mean(axis=0) for points in points_mm])
    rotations = _rotations(members, good)
    shifts = _shifts(members, good, rotations, centroids)
    middle = centroids[members].mean(axis=0)
    poses: list[RigidTransform | None] = [None] * n
    dice = {k: [p.transform.dice for p in good if k in (p.fixed, p.moving)] or [1.0] for k in members}
    for k in members:
        matrix = np.eye(4)
        matrix[:3, :3] = rotations[k].as_matrix()
        matrix[:3, 3] = centroids[k] + shifts[k] - matrix[:3, :3] @ middle
        poses[k] = RigidTransform(matrix, float(np.mean(dice[k])))
    squares: dict[int, list[float]] = {k: [] for k in members}
    for pair in good:
        start, end = poses[pair.fixed], poses[pair.moving]
        assert start is not None
        assert end is not None
        points = points_mm[pair.fixed]
        off = pair.transform.apply(points) - end.apply(start.inverse().apply(points))
        for k in (pair.fixed, pair.moving):
            squares[k].append(float(np.mean((off**2).sum(axis=1))))
    error = [float("nan")] * n
    for k in members:
        error[k] = float(np.hypot(LEAST_ERROR_MM, np.sqrt(np.mean(squares[k] or [0.0]))))
    return MidSpace(tuple(poses), tuple(error), tuple(pairs))


def _largest_group(n: int, pairs: Sequence[PairFit]) -> list[int]:
    """Return the sessions of the largest group that pairs join; of equal ones that with the first session."""
    group = list(range(n))
    for pair in pairs:
        a, b = group[pair.fixed], group[pair.moving]
        group = [min(a, b) if g in (a, b) else g for g in group]
    best = min(set(group), key=lambda g: (-group.count(g), g))
    return [k for k in range(n) if group[k] == best]


def _rotations(members: Sequence[int], pairs: Sequence[PairFit]) -> dict[int, Rotation]:
    """Return the rotation of each pose: each becomes the mean of what its neighbours say, until none moves."""
    turn = [Rotation.from_matrix(pair.transform.matrix[:3, :3]) for pair in pairs]
    found = {members[0]: Rotation.identity()}
    while len(found) < len(members):
        for pair, r in zip(pairs, turn, strict=True):
            if pair.fixed in found and pair.moving not in found:
                found[pair.moving] = r * found[pair.fixed]
            elif pair.moving in found and pair.fixed not in found:
                found[pair.fixed] = r.inv() * found[pair.moving]
    for _ in range(MAX_STEPS):
        moved = 0.0
        for k in members[1:]:
            said = [r * found[p.fixed] for p, r in zip(pairs, turn, strict=True) if p.moving == k]
            said += [r.inv() * found[p.moving] for p, r in zip(pairs, turn, strict=True) if p.fixed == k]
            mean = Rotation.concatenate(said).mean()
            moved = max(moved, float((mean * found[k].inv()).magnitude()))
            found[k] = mean
        if moved < TOLERANCE_RAD:
            break
    middle = Rotation.concatenate([found[k] for k in members]).mean()
    return {k: found[k] * middle.inv() for k in members}


def _shifts(
    members: Sequence[int], pairs: Sequence[PairFit], rotations: dict[int, Rotation], centroids: FloatArray
) -> dict[int, FloatArray]:
    """Return the shift of each pose between the brains' centroids, by least squares; their mean is none."""
    place = {k: 3 * i for i, k in enumerate(members)}
    rows, values = [], []
    for pair in pairs:
        row = np.zeros((3, 3 * len(members)))
        row[:, place[pair.moving] : place[pair.moving] + 3] = np.eye(3)
        between = (rotations[pair.moving] * rotations[pair.fixed].inv()).as_matrix()
        row[:, place[pair.fixed] : place[pair.fixed] + 3] -= between
        rows.append(row)
        values.append(pair.transform.apply(centroids[pair.fixed])[0] - centroids[pair.moving])
    rows.append(np.hstack([rotations[k].inv().as_matrix() for k in members]))
    values.append(np.zeros(3))
    solved = np.linalg.lstsq(np.vstack(rows), np.concatenate(values), rcond=None)[0]
    return {k: solved[place[k] : place[k] + 3] for k in members}
