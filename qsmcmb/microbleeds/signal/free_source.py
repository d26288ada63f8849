"""Free source: a distribution of susceptibility made of n balls, for lesions of no simple shape.

With the total susceptibility M, the signs s_i of the balls and their fractions of the volume w_i (the softmax of
parameters a_i, a_1 = 0), ball i has

    M_i = M s_i q_i w_i / D,   D = sum over j of s_j q_j w_j,   r_i = R w_i^(1/3),
    c_i = c + d_i - sum over j of w_j d_j,

R the radius of the ball of the whole volume, c the centre of the volume, d_i the distance from the first ball. Balls of
one sign have one susceptibility, so that few parameters describe any compact body: where balls overlap the body is
denser. q_i is 1 for the first ball's sign and a parameter for the other, since iron and calcium differ. Outside, the
field is the sum of the balls' dipoles; M is their sum whatever the shape.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from qsmcmb.microbleeds.signal._ball_loops import PER_BALL, ball_factor
from qsmcmb.microbleeds.signal.source_shapes import (
    LAYOUT,
    LESION_DCHI_PPM,
    ROW_CENTRE,
    ROW_RADIUS,
    UNIT_BALL_MM3,
    SizeLaw,
    SourceShape,
)
from qsmcmb.typing import ComplexArray, FloatArray, IntArray

__all__ = ("PER_FREE_BALL", "FreeSource")

PER_FREE_BALL = 4
"""Number of parameters of each ball but the first: the log ratio of its volume to the first ball's, its distance from
the first ball (3)."""
LOG_VOLUME_RATIO_SD = 0.7
"""SD of the log ratio of a ball's volume to the first ball's: a factor of two."""
DISTANCE_SD = 1.2
"""SD of a ball's distance from the first along each axis, over the radius of the whole volume's ball: bodies three
times as long as wide lie within two SDs."""
LOG_CONTRAST_SD = 0.6
"""SD of the log ratio of the susceptibility differences of either sign: that of one body's around the expected one."""


class FreeSource(SourceShape):
    """Balls of one susceptibility for each sign: 7 parameters, 4 for each ball but the first, 1 where signs differ.

    Parameters
    ----------
    signs : tuple of int
        Sign of each ball's susceptibility relative to the first ball's, 1 or -1; the first is 1.

    Examples
    --------
    Two balls of one size, 2 mm apart:

    >>> pair = FreeSource((1, 1))
    >>> p = np.array([4.0, 0.0, 0.0, 0.0, np.log(2.0), 0.16, np.log(90.0), 0.0, 2.0, 0.0, 0.0])
    >>> pair.rows(p).round(3).tolist()
    [[2.0, -1.0, 0.0, 0.0, 1.587], [2.0, 1.0, 0.0, 0.0, 1.587]]
    """

    name = "free"
    n_row_parameters, loop = PER_BALL, staticmethod(ball_factor)
    size, dchi_ppm = SizeLaw(UNIT_BALL_MM3, 3), LESION_DCHI_PPM
    max_own_parameter = 8.0

    def __init__(self, signs: tuple[int, ...]) -> None:
        self.signs = signs

    @cached_property
    def n_source_parameters(self) -> int:  # type: ignore[override]
        """Number of parameters of the source."""
        return LAYOUT.n_common + PER_FREE_BALL * (len(self.signs) - 1) + self.is_mixed

    @cached_property
    def is_mixed(self) -> bool:
        """Whether its balls have either sign: then the last parameter is their log contrast."""
        return len(set(self.signs)) > 1

    def log_contrast(self, p: FloatArray) -> float:
        """Return the logarithm of the susceptibility difference of the other sign over the first ball's.

        Parameters
        ----------
        p : ndarray
            Parameters of the source; the tissue's may follow.

        Returns
        -------
        float
            Logarithm of the ratio of absolute values; 0 where all balls have one sign.
        """
        return float(p[self.n_source_parameters - 1]) if self.is_mixed else 0.0

    def parameters(
        self, common: FloatArray, strengths: FloatArray, centres_mm: FloatArray, *, log_contrast: float = 0.0
    ) -> FloatArray:
        """Return the parameters of balls at some places.

        Parameters
        ----------
        common : ndarray of shape (7,)
            Parameters that all shapes have; total and centre are replaced by those of the balls.
        strengths : ndarray of shape (n,)
            Total susceptibility of each ball, ppm mm3, of the signs of this shape or all of the opposite ones.
        centres_mm : ndarray of shape (n, 3)
            Centre of each ball, mm from the patch's point.
        log_contrast : float, optional
            Logarithm of the susceptibility difference of the other sign over the first ball's, in absolute value.

        Returns
        -------
        ndarray of shape (n_source_parameters,)
            Parameters of the source.
        """
        volumes = np.abs(strengths) / np.abs(self._contrasts(log_contrast))
        fractions = volumes / volumes.sum()
        own = np.column_stack([np.log(fractions / fractions[0]), centres_mm - centres_mm[0]])[1:]
        out = np.concatenate([common, own.ravel(), [log_contrast] * self.is_mixed])
        out[LAYOUT.total], out[LAYOUT.centre] = strengths.sum(), fractions @ centres_mm
        return out

    def rows(self, p: FloatArray) -> FloatArray:
        """Return total susceptibility, centre and radius of each ball, (n, 5)."""
        fractions, distances = self._fractions_and_distances(p)
        signed = fractions * self._contrasts(self.log_contrast(p))
        return np.column_stack(
            [
                p[LAYOUT.total] * signed / signed.sum(),
                p[LAYOUT.centre] + distances - fractions @ distances,
                np.exp(p[LAYOUT.log_radius]) * fractions ** (1 / 3),
            ]
        )

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters, (n_source_parameters, n)."""
        slopes = self._row_slopes(p).reshape(-1, self.n_source_parameters).astype(np.float32)
        out = np.tensordot(slopes.T, by_row[: len(slopes)], axes=1)
        # The loop gives decay first, then squared width; both belong to all balls.
        out[LAYOUT.psf_width2] += by_row[-1]
        out[LAYOUT.log_decay] += by_row[-2]
        return out

    def shape_prior(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the deviations of volume ratios and contrast from 1, of distances from 0, in SDs, with derivatives."""
        n_others = len(self.signs) - 1
        distance_sd = DISTANCE_SD * np.exp(p[LAYOUT.log_radius])
        scale = np.tile([LOG_VOLUME_RATIO_SD, distance_sd, distance_sd, distance_sd], n_others)
        # A distance counts relative to the radius; ratios have no scale.
        is_distance = np.tile([0, 1, 1, 1], n_others)
        if self.is_mixed:
            scale, is_distance = np.append(scale, LOG_CONTRAST_SD), np.append(is_distance, 0)
        deviations = p[LAYOUT.n_common : self.n_source_parameters] / scale
        slopes = np.zeros((len(deviations), self.n_source_parameters))
        slopes[:, LAYOUT.n_common :] = np.diag(1 / scale)
        slopes[:, LAYOUT.log_radius] = -deviations * is_distance
        return deviations, slopes

    def log_susceptibility_ratio(self, p: FloatArray) -> float:
        """Return the logarithm of the susceptibility difference of the first ball's sign over the expected one."""
        # The sum of strengths of either sign belongs to the volume, not the sum with signs.
        return super().log_susceptibility_ratio(p) - float(np.log(abs(self._signed_sum(p))))

    def log_susceptibility_slopes(self, p: FloatArray) -> FloatArray:
        """Return the derivatives of `log_susceptibility_ratio` by the parameters, (n_source_parameters,)."""
        out = super().log_susceptibility_slopes(p)
        out[self._shape_slots] = -self._signed_slopes(p).sum(axis=0) / self._signed_sum(p)
        return out

    @cached_property
    def _shape_slots(self) -> IntArray:
        """Numbers of the parameters that change the balls' strengths: log volume ratios, then the log contrast."""
        return np.arange(LAYOUT.n_common, self.n_source_parameters, PER_FREE_BALL)

    def _contrasts(self, log_contrast: float) -> FloatArray:
        """Return each ball's susceptibility difference over the first ball's, (n,)."""
        signs = np.array(self.signs)
        return np.where(signs > 0, 1.0, -np.exp(log_contrast))

    def _own(self, p: FloatArray) -> FloatArray:
        """Return log volume ratio and distance (mm, 3) of each ball but the first, (n - 1, 4)."""
        end = LAYOUT.n_common + PER_FREE_BALL * (len(self.signs) - 1)
        return p[LAYOUT.n_common : end].reshape(-1, PER_FREE_BALL)

    def _fractions_and_distances(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return each ball's fraction of the volume, (n,), and its distance from the first, mm, (n, 3)."""
        own = np.vstack([np.zeros(PER_FREE_BALL), self._own(p)])
        volumes = np.exp(own[:, 0] - own[:, 0].max())
        return volumes / volumes.sum(), own[:, 1:]

    def _signed_sum(self, p: FloatArray) -> float:
        """Return the sum of the fractions with their signs and contrasts: M over what the first ball's would make."""
        return float(self._fractions_and_distances(p)[0] @ self._contrasts(self.log_contrast(p)))

    def _fraction_slopes(self, p: FloatArray) -> FloatArray:
        """Return the derivatives of the fractions by the log volume ratios of all balls but the first, (n, n - 1)."""
        fractions, _ = self._fractions_and_distances(p)
        return (np.diag(fractions) - np.outer(fractions, fractions))[:, 1:]

    def _signed_slopes(self, p: FloatArray) -> FloatArray:
        """Return the derivatives of the fractions times contrasts by the log volume ratios and the log contrast."""
        contrasts = self._contrasts(self.log_contrast(p))
        out = self._fraction_slopes(p) * contrasts[:, None]
        if not self.is_mixed:
            return out
        signed = self._fractions_and_distances(p)[0] * contrasts
        return np.column_stack([out, np.minimum(signed, 0.0)])

    def _row_slopes(self, p: FloatArray) -> FloatArray:
        """Return the derivatives of the rows by the parameters, (n, 5, n_source_parameters)."""
        fractions, distances = self._fractions_and_distances(p)
        by_ratio = self._fraction_slopes(p)
        signed, total = fractions * self._contrasts(self.log_contrast(p)), self._signed_sum(p)
        n, radius = len(fractions), float(np.exp(p[LAYOUT.log_radius]))
        radii = radius * fractions ** (1 / 3)
        slopes = np.zeros((n, PER_BALL, self.n_source_parameters))
        slopes[:, 0, LAYOUT.total] = signed / total
        slopes[:, ROW_CENTRE, LAYOUT.centre] = np.eye(3)
        slopes[:, ROW_RADIUS, LAYOUT.log_radius] = radii
        by_signed = self._signed_slopes(p)
        slopes[:, 0, self._shape_slots] = (
            p[LAYOUT.total] * (by_signed - np.outer(signed / total, by_signed.sum(axis=0))) / total
        )
        ratios = self._shape_slots[: n - 1]
        slopes[:, ROW_CENTRE, ratios] = -(distances.T @ by_ratio)
        slopes[:, ROW_RADIUS, ratios] = radii[:, None] / 3 * by_ratio / fractions[:, None]
        for ball in range(1, n):
            at = LAYOUT.n_common + PER_FREE_BALL * (ball - 1)
            distance = slice(at + 1, at + PER_FREE_BALL)
            slopes[:, ROW_CENTRE, distance] = -fractions[ball] * np.eye(3)
            slopes[ball, ROW_CENTRE, distance] += np.eye(3)
        return slopes
