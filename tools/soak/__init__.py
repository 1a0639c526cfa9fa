"""Plays nights of :mod:`rollout.control.faulty` for as long as told, and says which seeds broke an invariant."""
