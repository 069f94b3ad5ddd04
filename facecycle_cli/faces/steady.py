"""One person's crops through a video, held still.

Aligned frame by frame, five points to the template, a face trembles: an opening mouth pulls the
eyes up, a turning head pushes them aside, and every landmark has its noise. Here a track is aligned
as a whole, knowing its future as well as its past, so nothing lags behind.
"""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces.alignment import TEMPLATE, Alignment, fit_similarity

__all__ = ["mean_place", "steady_alignments"]

# Of eyes, nose tip and mouth corners. The eyes say where the skull is; what nose and mouth add is
# the scale of a head that turns aside, whose eyes come closer together in the picture.
_FOR_SCALE = np.array([20.0, 20, 1, 1, 1])
_FOR_ANGLE = np.array([60.0, 60, 1, 1, 1])


def mean_place(points: np.ndarray, size: int) -> np.ndarray:
    """(5, 2): where the points (N, 5, 2) of a face are on average in crops of side ``size`` that
    are aligned frame by frame. Raises FaceError if the points of a frame coincide.
    """
    template = TEMPLATE * size - 0.5
    placed = [Alignment(fit_similarity(five, template), size).apply(five) for five in points]
    return np.mean(placed, axis=0)


def steady_alignments(
    points: np.ndarray,
    frames: np.ndarray,
    size: int,
    *,
    target: np.ndarray | None = None,
    smoothing: float = 1.0,
) -> list[Alignment]:
    """Alignments of the frames of a track.

    Their mean over the track is that of frame-wise alignment, but the eyes keep to their mean
    places in the crop: the point between them exactly; their distance and level but for what the
    head's size and tilt really do. The scale is smoothed over time with a symmetric kernel, fitted
    by a straight line so that a steady approach is followed without delay, at the ends of the track
    too.

    Args:
        points: (N, 5, 2) of each frame, as `Face.five_points`.
        frames: (N,) numbers of the frames, ascending; there may be gaps.
        size: of the crops.
        target: (5, 2), where the points belong; default: their own `mean_place`. Parts of a track,
            or tracks of one person, that share it do not jump from one to the next.
        smoothing: standard deviation of the kernel, in frames; 0: none.

    Raises:
        FaceError: the points of a frame coincide.
    """
    points = np.asarray(points, np.float64)
    if target is None:
        target = mean_place(points, size)
    scales = [_scale(fit_similarity(five, target, _FOR_SCALE)) for five in points]
    scales = np.exp(_smooth(np.log(scales), np.asarray(frames, np.float64), smoothing))
    middle = target[:2].mean(0)
    alignments = []
    for five, scale in zip(points, scales, strict=True):
        turned = fit_similarity(five, target, _FOR_ANGLE)[:, :2]
        linear = turned * (scale / _scale(turned))
        shift = middle - linear @ five[:2].mean(0)
        alignments.append(Alignment(np.column_stack([linear, shift]), size))
    return alignments


def _scale(matrix: np.ndarray) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _smooth(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """Local linear regression with a Gaussian kernel."""
    if width <= 0 or len(values) < 3:
        return values
    offset = times - times[:, None]  # (at, of)
    weight = np.exp(-0.5 * (offset / width) ** 2)
    s0, s1, s2 = (np.sum(weight * offset**k, axis=1) for k in range(3))
    t0, t1 = weight @ values, (weight * offset) @ values
    spread = s0 * s2 - s1**2
    # Too lonely a frame has no line through its neighbors, only itself.
    lonely = spread <= 1e-9 * s0**2
    return np.where(lonely, t0 / s0, (s2 * t0 - s1 * t1) / np.where(lonely, 1, spread))
