"""`python benchmarks/inspect.py`: see inspect_speed.py; this file only has the name of the command that it measures.

It also has the name of a module of the standard library, and a script's folder comes first where Python looks for
modules. So a program that is started from this folder and imports `inspect` comes here first, and gets the real one.
"""

import importlib
import sys

sys.path.append(sys.path.pop(0))
if __name__ == "__main__":
    importlib.import_module("inspect_speed").main()
else:
    del sys.modules[__name__]
    importlib.import_module(__name__)
