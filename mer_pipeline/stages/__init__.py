"""The chain from frames to network input, one module a stage, each a pure function of its input and parameters."""
