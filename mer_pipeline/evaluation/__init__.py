"""How networks are judged: who is held out, controls, scores, statistics, calibration, comparison."""
