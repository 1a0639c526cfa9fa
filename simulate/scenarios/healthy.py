"""A good release: whatever is rolled back here is rolled back falsely."""

from simulate.scenarios.scenario import Scenario

SCENARIO = Scenario(
    name="healthy",
    sentence="the release is as good as the one before it",
    symptom="none; every rollback is a false one",
    mitigation="none needed",
    build=lambda values, world: world,
)
