"""Where in time an expression lies: tracking of the skin, intervals, whole videos, and the score by the MEGC rule."""
