"""Studies: many replications of a rehearsal, compared with each other, with closed forms and with the lab."""
