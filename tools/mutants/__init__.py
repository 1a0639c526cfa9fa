"""`make mutants`: how many small defects in the rooms that decide a release do the quick tests notice?

Each mutant is the code with one place changed (`<` to `<=`, 3 to 4, `and` to `or`, ...). `draw` makes them, `trial` runs
the tests on them in copies of the checkout, `document` keeps docs/mutants.md.
"""

from __future__ import annotations

ROOMS = ("rollout/policy", "rollout/plan", "rollout/journal")
