"""The methods paragraph, from the provenance of a session alone."""

from __future__ import annotations

from typing import Any

# Sentence per stage and method; the options follow in brackets.
SENTENCES = {
    ("prepare", "checks"): "The phase was checked for slices of alternating sign and for a bipolar readout",
    ("mask", "combined"): "The brain was masked from magnitude and phase coherence",
    ("mask", "magnitude"): "The brain was masked from the magnitude",
    ("mask", "phase_quality"): "The brain was masked from the coherence of the phase",
    ("unwrap", "romeo"): "phase was unwrapped with ROMEO (Dymerska 2021, doi 10.1002/mrm.28563)",
    ("unwrap", "laplacian"): "phase was unwrapped by its Laplacian (Schofield and Zhu 2003, doi 10.1364/OL.28.001194)",
    ("unwrap", "bestpath"): "phase was unwrapped along the best path (Abdul-Rahman 2007, doi 10.1364/AO.46.006623)",
    ("fieldmap", "weighted"): "the field was fitted over the echoes, weighted by squared magnitude times echo time",
    ("fieldmap", "nonlinear"): "the field was fitted to the complex signal (Liu 2013, doi 10.1002/mrm.24272)",
    ("background", "vsharp"): "background fields were removed with V-SHARP (Wu 2012, doi 10.1002/mrm.23000)",
    ("background", "pdf"): "background fields were removed by projection onto dipoles (Liu 2011, doi 10.1002/nbm.1670)",
    ("background", "slbv"): "background fields were removed by a Laplacian boundary value problem with sources "
    "inside the brain (after Zhou 2014, doi 10.1002/nbm.3064)",
    ("invert", "medi"): "the local field was inverted with MEDI (Liu 2013, doi 10.1002/mrm.24272)",
    ("invert", "nltv"): "the local field was inverted by re-weighted total variation "
    "(Candes 2008, doi 10.1007/s00041-008-9045-x)",
    ("invert", "tkd"): "the local field was inverted by thresholded division (Shmueli 2009, doi 10.1002/mrm.22135)",
    ("invert", "tv"): "the local field was inverted with total variation by ADMM (Bilgic 2014, doi 10.1002/mrm.25029)",
    ("r2star", "weighted"): "R2* was fitted to the logarithm of the magnitude, weighted",
    ("r2star", "arlo"): "R2* was fitted with ARLO (Pei 2015, doi 10.1002/mrm.25137)",
}  # fmt: skip
CLOSING = (
    "The receive phase was removed from the first two echoes. Each lesion's total susceptibility was fitted in the "
    "complex domain over all echoes as a ball, or two balls where one does not fit, with free centre and smooth "
    "background; intervals are 95 %."
)


def methods_paragraph(record: dict[str, Any]) -> str:
    """Return the paragraph of a session from its burden record."""
    sentences = []
    for stage, options in record.get("Steps", {}).items():
        method = options.get("method", "")
        if method == "none":
            sentences.append(f"{stage} was left out, since {options.get('reason', 'not wanted')}")
            continue
        text = SENTENCES.get((stage, method), f"{stage} was done with {method}")
        rest = ", ".join(f"{k} {_short(v)}" for k, v in options.items() if k != "method" and v is not None)
        sentences.append(text + (f" [{rest}]" if rest else ""))
    software = ", ".join(f"{g['Name']} {g['Version']}" for g in record.get("GeneratedBy", []))
    times = ", ".join(f"{1000 * t:.4g}" for t in record.get("EchoTime", []))
    voxel = " x ".join(f"{v:.3g}" for v in record.get("VoxelSize", []))
    scan = f"Scan: {record.get('MagneticFieldStrength')} T, echo times {times} ms, voxels of {voxel} mm, {software}. "
    return scan + "; ".join(sentences) + ". " + CLOSING


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
