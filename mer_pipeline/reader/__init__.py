"""The model that ships with the package: it reads Action Units and emotion from optical flow, in plain arrays.

Its weights come from drawn and computed motion of the skin alone (`synth.skin`): no recording of anybody is in them,
so that everybody may use and pass them on. `studies/free_model.py` makes them.
"""

from mer_pipeline.reader.reader import GROUPS, NAME, FlowReader, Reading, about, shipped

__all__ = ["GROUPS", "NAME", "FlowReader", "Reading", "about", "shipped"]
