"""The loop of a rollout, the ports to the world around it, and what carries decisions out."""
