"""Probing: whether requests on new connections really went through, counted from the probe clients' own logs."""

from meshpki.probing.collector import Probe
from meshpki.probing.ledger import Ledger
from meshpki.probing.tally import Count, Failure, FlowTally, Second, StreamTally, Tally

__all__ = ["Count", "Failure", "FlowTally", "Ledger", "Probe", "Second", "StreamTally", "Tally"]
