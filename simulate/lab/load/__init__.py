"""Open-loop load for the lab: requests leave at their rate, whether answers come or not, so that overload shows.

    python -m simulate.lab.load --url http://10.78.0.20 --rate 100 --duration 60 --websockets 20

HTTP requests are sent by vegeta, a program of its own, so that a busy Python process does not slow it down; ``Load`` starts it,
reads its results as they come and tallies them as a client counts. It sends to addresses of this machine only, and
ends by itself.
"""

from simulate.lab.load.records import Request, Tally
from simulate.lab.load.vegeta import Load, LoadError, Profile
from simulate.lab.load.websockets import WebSocketClients

__all__ = ["Load", "LoadError", "Profile", "Request", "Tally", "WebSocketClients"]
