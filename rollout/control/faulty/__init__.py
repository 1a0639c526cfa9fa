"""The controller on a virtual clock in a world that fails by seed: one seed is one night, and the same night each time.

The real controller, its effects, the journal's text and its reading run here; only the ports are fakes
(:mod:`rollout.control.testing`). At every call of a port, at every record and at any moment something may go wrong:
an error, a delay, no answer, a lost or old answer, a request that arrives twice or late, half of the metrics, a disk that fails,
a machine that sleeps, the death of the process. In half of the nights there is a store, which fails too, and a second machine from which somebody
resumes or aborts (:mod:`rollout.control.faulty.elsewhere`); a promotion may be followed by a watch, and be undone. What must hold all the same is in :mod:`rollout.control.faulty.invariants`.

    >>> from rollout.control.faulty.night import play
    >>> play(1).violations
    ()
"""
