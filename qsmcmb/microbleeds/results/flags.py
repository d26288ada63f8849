"""TODO."""

from __future__ import annotations

FLAGS = {
    "near-mask-edge": "Part of the ball around the lesion lies outside the mask or volume: less data, wider interval.",
    "single-echo": "One echo: the receive phase is not known apart from the field.",
    "not-converged": "The fit stopped before it settled: read the number with care.",
    "poor-fit": "The residual is larger than noise and texture explain: the model does not describe what is there.",
    "vein-like": "An infinite cylinder explains the scan better than a lesion (BIC): the interval reaches 0.",
    "not-above-noise": "The estimate does not differ from zero by more than 3 SDs.",
    "map-sum-unreliable": "The map holds too little of the lesion, or too little around it, for a corrected sum.",
    "estimators-disagree": "Map sum or signal loss differ from the fit by more than 3 SDs of the difference.",
    "same-lesion": "Another row is a point on this lesion; the burden counts it once.",
    "outside-mask": "The point lies outside the mask: no number.",
    "too-large": "A body of 6 mm radius or more, such as a haematoma: too large for what is looked at. No number.",
    "outside-volume": "The point lies outside the image: no number.",
}
