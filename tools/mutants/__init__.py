"""`make mutants`: how many small defects in the rooms that decide a release and carry it out do the quick tests notice?

Each mutant is the code with one place changed (`<` to `<=`, 3 to 4, `and` to `or`, ...). `draw` makes them, `trial` runs
the tests on them in copies of the checkout, `document` keeps docs/mutants.md.
"""

from __future__ import annotations

ROOMS = ("rollout/policy", "rollout/plan", "rollout/journal", "rollout/control")

# What the tests themselves are made of, in a room for those who also play nights by seed: a change there is a change of a test.
EXCLUDED = ("rollout/control/testing.py", "rollout/control/faulty/")
