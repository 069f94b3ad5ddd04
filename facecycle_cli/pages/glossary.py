"""What the numbers of reports mean: one sentence each, for the foot of a page."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["TERMS"]

TERMS: Mapping[str, str] = {
    "accuracy": "Share of the answers that are right, from 0 to 100 %.",
    "macro recall": "Mean over the classes of the share of their pictures that is recognized: each "
    "class counts the same, however many pictures it has.",
    "L2 penalty": "Strength of the regularization, chosen on the validation split.",
    "yaw": "Turn of the head to the left or right, in degrees.",
    "pitch": "Nod of the head, up or down, in degrees.",
    "roll": "Tilt of the head to a shoulder, in degrees.",
    "MAE in degrees": "Mean absolute error of an angle.",
    "mean": "Mean of yaw, pitch and roll.",
    "L1": "Mean absolute difference of RGB values in 0..1. 0 is best.",
    "cycle L1": "Mean absolute difference of RGB values in 0..1 between a face and the same face "
    "after the motion cycle: neutral, and back. 0 is best.",
    "SSIM": "Structural similarity of two pictures. 1 is best.",
    "L1 in the face's box": "Mean absolute difference of RGB values in 0..1, within the box around "
    "the face. 0 is best.",
    "SSIM in the face's box": "Structural similarity within the box around the face. 1 is best.",
    "AKD": "Average keypoint distance: how far the landmarks are from those of the right frame, in "
    "percent of the distance between the eyes. 0 is best.",
    "after the best similarity": "The same after the best shift, turn and scale: place, size and "
    "roll of the face do not count.",
    "identity": "Cosine similarity of the identity features, as verify compares them. 1 is best.",
    "identity similarity": "Cosine similarity of the identity features, as verify compares them. "
    "1 is best.",
    "slope": "How far the output moves for each unit that the source moves. 1 is best.",
    "correlation": "Pearson's correlation of the output's motion with the source's. 1 is best.",
    "AUC": "Area under the ROC curve: chance that a pair of the same person is more similar than a "
    "pair of different people. 1 is best, 0.5 is chance.",
    "EER": "Equal error rate: where as many pairs are falsely accepted as falsely rejected. 0 is "
    "best.",
    "TAR": "True-accept rate: share of the pairs of the same person that are accepted.",
    "FAR": "False-accept rate: share of the pairs of different people that are accepted.",
    "TAR at FAR 0.1": "True-accept rate at the threshold that falsely accepts 10 % of the pairs.",
    "TAR at FAR 0.01": "True-accept rate at the threshold that falsely accepts 1 % of the pairs.",
    "TAR at FAR 0.001": "True-accept rate at the threshold that falsely accepts 0.1 % of the "
    "pairs.",
    "best threshold": "The similarity that separates these pairs best. It was chosen on them, so "
    "its accuracy flatters.",
    "found": "Share of the pictures in which a face was found.",
    "yaw before": "Mean absolute yaw of the heads in the pictures, in degrees.",
    "after": "The same after frontalize. 0 is best.",
    "yaw after": "Mean absolute yaw after frontalize, in degrees. 0 is best.",
    "smile removed": "Share of a smile's additional width of the mouth that neutralize takes away. "
    "100 % is best.",
    "way to the own neutral photograph": "Share of the way from the picture's landmarks to those "
    "of the same person's neutral photograph. 100 % is best; below 0 the face went away from it.",
    "distance of a face with expression": "Distance of the landmarks of the neutral face from "
    "those of the person's neutral photograph, in distances between the eyes.",
    "change of a neutral face": "How far neutralize moves the landmarks of a face that is neutral "
    "already, in distances between the eyes. 0 is best.",
    "yaw left by frontalize": "Slope of the yaw after frontalize over the yaw before. 0 is best.",
    "mean absolute yaw": "Mean of the yaw without its sign, in degrees.",
}
"""Name of a number, as tables have it -> what it is."""
