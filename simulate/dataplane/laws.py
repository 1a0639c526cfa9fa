"""Laws of times: how long a query, a piece of work or a client's patience lasts, in seconds.

Each law turns one uniform number into one time by its inverse distribution function, so that equal uniforms give
equal times whichever implementation asks. ``encode`` packs a law into the row of numbers that ``sample`` reads.
"""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane._compiled import inlined

POINTS = 257  # of an empirical law's quantile table: one each 1/256
WIDTH = 3 + POINTS
_CONSTANT, _EXPONENTIAL, _LOGNORMAL, _EMPIRICAL = 0.0, 1.0, 2.0, 3.0


def _positive(name: str, value: float, *, zero: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(
            f"{name} is {value!r}: it takes a finite time {'of at least' if zero else 'above'} 0 s"
        )


@dataclass(frozen=True, slots=True)
class Constant:
    """Always ``seconds``; infinite (``FOREVER``) makes sense as a patience only."""

    seconds: float

    def __post_init__(self) -> None:
        if math.isnan(self.seconds) or self.seconds < 0:
            raise ValueError(f"seconds is {self.seconds!r}: it takes a time of at least 0 s")

    @property
    def mean(self) -> float:
        return self.seconds


FOREVER = Constant(math.inf)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponential with this mean (seconds)."""

    mean: float

    def __post_init__(self) -> None:
        _positive("mean", self.mean)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Lognormal: ``median`` in seconds, ``sigma`` the standard deviation of the logarithm."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        _positive("median", self.median)
        _positive("sigma", self.sigma, zero=True)

    @property
    def mean(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2)

    @classmethod
    def from_quantiles(cls, p50: float, p95: float) -> LogNormal:
        """The lognormal with these two quantiles (seconds)."""
        _positive("p50", p50)
        if p95 < p50:
            raise ValueError(f"p95 is {p95!r}: it is not below p50, {p50!r}")
        return cls(p50, math.log(p95 / p50) / 1.6448536269514722)


@dataclass(frozen=True, slots=True)
class Empirical:
    """What was measured: ``quantiles`` are ``POINTS`` times (seconds) of equal probability apart, rising."""

    quantiles: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.quantiles) != POINTS or any(
            not 0 <= a <= b < math.inf for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)
        ):
            raise ValueError(f"quantiles: it takes {POINTS} finite times that do not fall; use from_samples")

    @property
    def mean(self) -> float:
        q = self.quantiles
        return (sum(q) - (q[0] + q[-1]) / 2) / (POINTS - 1)

    @classmethod
    def from_samples(cls, samples: Sequence[float] | NDArray[np.float64]) -> Empirical:
        """Fitted to measured times (seconds), at least one."""
        if len(samples) == 0:
            raise ValueError("samples is empty: an empirical law needs at least one measured time")
        table = np.quantile(np.asarray(samples, dtype=np.float64), np.linspace(0.0, 1.0, POINTS))
        return cls(tuple(float(x) for x in np.maximum.accumulate(table)))


Law = Constant | Exponential | LogNormal | Empirical


def encode(law: Law) -> NDArray[np.float64]:
    """The law as a row of ``WIDTH`` numbers: kind, two parameters, quantile table."""
    row = np.zeros(WIDTH)
    match law:
        case Constant(seconds):
            row[:2] = _CONSTANT, seconds
        case Exponential(mean):
            row[:2] = _EXPONENTIAL, mean
        case LogNormal(median, sigma):
            row[:3] = _LOGNORMAL, median, sigma
        case Empirical(quantiles):
            row[0] = _EMPIRICAL
            row[3:] = quantiles
    return row


@inlined
def sample(row: NDArray[np.float64], u: float) -> float:
    """The time (seconds) at which the encoded law's distribution function is ``u``, 0 < u < 1."""
    kind = row[0]
    if kind == _EXPONENTIAL:
        return -row[1] * math.log(u)
    if kind == _LOGNORMAL:
        return row[1] * math.exp(row[2] * normal_quantile(u))
    if kind == _EMPIRICAL:
        x = u * (POINTS - 1)
        k = int(x)
        return row[3 + k] + (x - k) * (row[4 + k] - row[3 + k])
    return row[1]


@inlined
def normal_quantile(u: float) -> float:
    """The standard normal quantile: algorithm AS 241 (PPND16), M. J. Wichura 1988, relative error 1e-16."""
    q = u - 0.5
    if abs(q) <= 0.425:  # noqa: PLR2004
        r = 0.180625 - q * q
        top = r * 2509.0809287301226727 + 33430.575583588128105
        top = (top * r + 67265.770927008700853) * r + 45921.953931549871457
        top = ((top * r + 13731.693765509461125) * r + 1971.5909503065514427) * r + 133.14166789178437745
        bottom = r * 5226.495278852545925 + 28729.085735721942674
        bottom = (bottom * r + 39307.89580009271061) * r + 21213.794301586595867
        bottom = ((bottom * r + 5394.1960214247511077) * r + 687.1870074920579083) * r + 42.313330701600911252
        return q * (top * r + 3.387132872796366608) / (bottom * r + 1.0)
    r = math.sqrt(-math.log(u if q < 0 else 1.0 - u))
    if r <= 5.0:  # noqa: PLR2004
        r -= 1.6
        top = r * 7.7454501427834140764e-4 + 0.0227238449892691845833
        top = (top * r + 0.24178072517745061177) * r + 1.27045825245236838258
        top = ((top * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r + 4.6303378461565452959
        bottom = r * 1.05075007164441684324e-9 + 5.475938084995344946e-4
        bottom = (bottom * r + 0.0151986665636164571966) * r + 0.14810397642748007459
        bottom = (
            (bottom * r + 0.68976733498510000455) * r + 1.6763848301838038494
        ) * r + 2.05319162663775882187
        x = (top * r + 1.42343711074968357734) / (bottom * r + 1.0)
    else:
        r -= 5.0
        top = r * 2.01033439929228813265e-7 + 2.71155556874348757815e-5
        top = (top * r + 1.2426609473880784386e-3) * r + 0.026532189526576123093
        top = ((top * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r + 5.4637849111641143699
        bottom = r * 2.04426310338993978564e-15 + 1.4215117583164458887e-7
        bottom = (bottom * r + 1.8463183175100546818e-5) * r + 7.868691311456132591e-4
        bottom = (
            (bottom * r + 0.0148753612908506148525) * r + 0.13692988092273580531
        ) * r + 0.59983220655588793769
        x = (top * r + 6.6579046435011037772) / (bottom * r + 1.0)
    return -x if q < 0 else x
