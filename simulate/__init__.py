"""Rehearsal of a release: on real parts on one machine (`simulate.lab`)."""
