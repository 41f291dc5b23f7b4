"""python -m backends: another name of python -m shared_bottom.

It is run by name, because nothing in `backends` imports what lies above it.
"""

import runpy

runpy.run_module("shared_bottom", run_name="__main__")
