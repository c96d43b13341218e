"""Finding, following and placing a face: landmarks, detectors, alignment, registration, crop."""
