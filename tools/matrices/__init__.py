"""docs/matrices.md: what came of every death and every fault, made by what ran."""
