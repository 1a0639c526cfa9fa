"""The loop of a rollout, its ports to the environment, and the effects that carry decisions out."""
