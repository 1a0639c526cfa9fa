"""`rollout explore`: the states that the policy can reach under a plan, breadth first, with a small alphabet of events."""
