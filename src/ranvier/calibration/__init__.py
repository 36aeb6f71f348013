"""From scores to decisions: tuned thresholds, calibrated probabilities, and the measurement of calibration."""

from ranvier.calibration.reliability import Reliability, reliability
from ranvier.calibration.scaling import fit_scaling, fit_temperature
from ranvier.calibration.temperature import Calibrated, calibrate
from ranvier.calibration.thresholds import Threshold, tune_threshold
from ranvier.support.errors import missing

__all__ = [
    "Calibrated", "Reliability", "Threshold", "calibrate", "fit_scaling", "fit_temperature", "reliability",
    "tune_threshold",
]  # fmt: skip

__getattr__, __dir__ = missing("ranvier.calibration", __all__)
