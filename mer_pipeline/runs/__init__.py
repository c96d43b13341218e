"""The run folder: its cards, its results, and what it was made with."""
