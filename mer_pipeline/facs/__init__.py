"""Action Unit notation, as annotation sheets write it, read into structured Action Units and the 21-vector.

A cell is a sum of terms, and a term is one action or a choice between actions::

    cell    := nothing | sum                 nothing: blank, "/", "-", "nan", "none", "0", "-1" and the like
    sum     := choice (separator choice)*    separator: + , ; & and a dash (Action Units are never a range)
    choice  := group (("or" | "/") group)*   "or" binds tighter than "+": 4+L12 or L14 is 4+(L12 or L14)
    group   := "ref" group | "(" sum ")" "?"* | unit
    unit    := "?"* (code | name) "?"*  |  "?"
    code    := ["AU"] ["A" ["/"]] [side] number [intensity ["/" intensity]]
    side    := L | R | T | B                 left, right, top, bottom; L and R may also follow the number

What each notation gives:

- *Sides, intensities, asymmetry* (``L12A``, ``10A/B``, ``A/L12``) are kept; the vector holds presence only.
- *A choice* sets its first alternative and is flagged ``alternative``. Later alternatives stay in the structure.
- *A question mark* keeps the action in the vector and flags ``uncertain``; alone it is an action without a name.
- *A reflex* (``ref(7B)``) counts in the vector and is flagged ``reflex``: the Facial Action Coding System records
  what is visible and not why, and a network that looks at the face sees a reflex like any other movement.
- *Codes outside the 21* (``31``, ``43E``, ``61``, ``soft focus``) are kept and listed by ``outside``.
- *Two codes with only a blank between them* are an error: ``1 2`` may be 1+2 or 12, and a guess would be silent.
"""

from mer_pipeline.facs.grammar import parse_aus
from mer_pipeline.facs.units import AU_NAMES, AU_NUMBERS, NAMED_ACTIONS, ActionUnit, ActionUnits, Alternatives

__all__ = ["AU_NAMES", "AU_NUMBERS", "NAMED_ACTIONS", "ActionUnit", "ActionUnits", "Alternatives", "parse_aus"]
