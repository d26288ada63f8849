"""Starts of a free source of more balls: one ball split in two, a ball beside another, lines and discs.

All are made from the fit of fewer balls, in the 13 directions of a cube's middle to its faces, edges and corners. A
split keeps total susceptibility and centre of gravity, so that far from the lesion nothing changes and the fitted
tissue still holds. A ball beside another changes the total, and so does a split in iron and calcium; the tissue, which
has taken what the missing ball explains, is fitted anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.signal.free_source import FreeSource
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import AXES, LAYOUT, ROW_CENTRE, ROW_RADIUS
from qsmcmb.typing import FloatArray

__all__ = ["Start", "balls_beside", "lines_and_discs", "opposite_splits", "splits"]

HALF = 0.5
"""Fraction of the volume at which both balls of a split are alike: opposite directions are one then."""
NEW_BALL_SHARE = 0.4
"""Ratio of the total susceptibility of a ball that is put beside another to that one's."""
BESIDE_DISTANCE = 1.1
"""Distance of its centre from the other's, over the sum of their radii: the balls just touch."""
OPPOSITE_SHARE = 0.25
"""Fraction of a ball's volume that becomes a touching ball of the opposite sign."""
REMAINING_TOTAL = 0.7
"""Ratio of the total susceptibility of what remains to that of the whole ball: the void stays, and half of the sum."""
LINE = 2.0 * np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
"""Centres of three touching balls in a line along the first axis, over their radius."""
DISC = np.array([[0.0, 1.0, 1.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0], [0.0, -1.0, -1.0]])
"""Centres of four touching balls in a disc across the first axis, over their radius."""
LAYOUT_TOTAL_RATIOS = (1.0, 1.7)
"""Total susceptibility of lines and discs over that of the ball: a ball reads long bodies as half of themselves."""

Start = tuple[LesionModel, FloatArray]
"""Model of a free source with the tissue's Gaussian process, and parameters to start from."""


def splits(state: FitState, shares: Sequence[float], distances: Sequence[float]) -> Iterator[Start]:
    """Yield the starts in which one ball is split in two.

    Parameters
    ----------
    state : FitState
        Fit of a free source with the tissue's Gaussian process.
    shares : sequence of float
        Fractions of the ball's volume that the new ball takes, 0 to 1.
    distances : sequence of float
        Distances of the two centres, over the sum of the new radii; they touch at 1.

    Yields
    ------
    Start
        Model and parameters; the tissue's coefficients stay.
    """
    shape, p, rows = _shape_of(state), state.parameters, state.rows
    for ball, row in enumerate(rows):
        grown = FreeSource((*shape.signs, shape.signs[ball]))
        model = state.model.with_shape(grown)
        for share in shares:
            radii = row[ROW_RADIUS] * np.array([1 - share, share]) ** (1 / 3)
            for distance in distances:
                for axis in AXES if share == HALF else np.vstack([AXES, -AXES]):
                    step = distance * radii.sum() * axis
                    strengths = np.append(rows[:, 0], share * row[0])
                    strengths[ball] -= share * row[0]
                    centres = np.vstack([rows[:, ROW_CENTRE], row[ROW_CENTRE] + (1 - share) * step])
                    centres[ball] -= share * step
                    source = grown.parameters(
                        p[: LAYOUT.n_common], strengths, centres, log_contrast=shape.log_contrast(p)
                    )
                    yield model, np.concatenate([source, p[shape.n_source_parameters :]])


def balls_beside(state: FitState, sign: int) -> Iterator[Start]:
    """Yield the starts in which a smaller ball touches one of those that are fitted.

    Parameters
    ----------
    state : FitState
        Fit of a free source with the tissue's Gaussian process.
    sign : {1, -1}
        Sign of the new ball's susceptibility relative to the other's: -1 for calcium beside iron.

    Yields
    ------
    Start
        Model and parameters, the tissue fitted anew.
    """
    shape, p, rows = _shape_of(state), state.parameters, state.rows
    volume = (rows[:, ROW_RADIUS] ** 3).sum()
    for ball, row in enumerate(rows):
        grown = FreeSource((*shape.signs, sign * shape.signs[ball]))
        radius = row[ROW_RADIUS] * NEW_BALL_SHARE ** (1 / 3)
        common = p[: LAYOUT.n_common].copy()
        common[LAYOUT.log_radius] += np.log1p(radius**3 / volume) / 3
        strengths = np.append(rows[:, 0], sign * NEW_BALL_SHARE * row[0])
        for axis in np.vstack([AXES, -AXES]):
            centre = row[ROW_CENTRE] + BESIDE_DISTANCE * (row[ROW_RADIUS] + radius) * axis
            centres = np.vstack([rows[:, ROW_CENTRE], centre])
            source = grown.parameters(common, strengths, centres, log_contrast=shape.log_contrast(p))
            yield _with_fitted_tissue(state, grown, source)


def opposite_splits(state: FitState) -> Iterator[Start]:
    """Yield the starts in which a part of one ball has the opposite sign, as of calcium beside iron.

    Parameters
    ----------
    state : FitState
        Fit of a free source with the tissue's Gaussian process.

    Yields
    ------
    Start
        Model and parameters, the tissue fitted anew.

    Notes
    -----
    One ball, fitted to both, has their common void. So volume and centre stay, and the sum of M falls.
    """
    shape, p, rows = _shape_of(state), state.parameters, state.rows
    ratio = np.array([1 - OPPOSITE_SHARE, OPPOSITE_SHARE])
    for ball, row in enumerate(rows):
        grown = FreeSource((*shape.signs, -shape.signs[ball]))
        distance = row[ROW_RADIUS] * (ratio ** (1 / 3)).sum()
        strengths = np.append(rows[:, 0], -REMAINING_TOTAL * ratio[1] / ratio[0] * row[0])
        strengths[ball] *= REMAINING_TOTAL
        for axis in np.vstack([AXES, -AXES]):
            centres = np.vstack([rows[:, ROW_CENTRE], row[ROW_CENTRE] + ratio[0] * distance * axis])
            centres[ball] -= ratio[1] * distance * axis
            common = p[: LAYOUT.n_common]
            source = grown.parameters(common, strengths, centres, log_contrast=shape.log_contrast(p))
            yield _with_fitted_tissue(state, grown, source)


def lines_and_discs(state: FitState) -> Iterator[Start]:
    """Yield the starts in which three equal balls in a line, or four in a disc, stand in place of one ball.

    Parameters
    ----------
    state : FitState
        Fit of one ball with the tissue's Gaussian process.

    Yields
    ------
    Start
        Model and parameters, the tissue fitted anew.
    """
    p, row = state.parameters, state.rows[0]
    for unit in (LINE, DISC):
        shape = FreeSource((1,) * len(unit))
        for axis in AXES:
            turned = unit @ _frame(axis)
            for total_ratio in LAYOUT_TOTAL_RATIOS:
                common = p[: LAYOUT.n_common].copy()
                common[LAYOUT.log_radius] += np.log(total_ratio) / 3
                radius = float(np.exp(common[LAYOUT.log_radius])) * len(unit) ** (-1 / 3)
                strengths = np.full(len(unit), row[0] * total_ratio / len(unit))
                source = shape.parameters(common, strengths, row[ROW_CENTRE] + radius * turned)
                yield _with_fitted_tissue(state, shape, source)


def _shape_of(state: FitState) -> FreeSource:
    """Return the fit's shape, which is a free source."""
    shape = state.model.shape
    assert isinstance(shape, FreeSource)
    return shape


def _with_fitted_tissue(state: FitState, shape: FreeSource, source: FloatArray) -> Start:
    """Return a model and the parameters of a source, with polynomials fitted to what it leaves of the data."""
    model = state.model.with_shape(shape)
    # Only the source's parameters are read; those after them keep their number.
    tissue = state.parameters[state.model.n_source_parameters :]
    plain = model.parameters_with_fitted_tissue(np.concatenate([source, tissue]))
    return model, model.with_zero_processes(plain)


def _frame(axis: FloatArray) -> FloatArray:
    """Return three unit vectors at right angles as rows, the first along a unit vector."""
    other = np.eye(3)[np.argmin(np.abs(axis))]
    second = np.cross(axis, other)
    second /= np.linalg.norm(second)
    return np.stack([axis, second, np.cross(axis, second)])
