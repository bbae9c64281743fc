"""The evidence of a rotation: what the probe's clients saw, and what every Envoy counted meanwhile."""

from meshpki.cluster.client import Reader
from meshpki.errors import MeshpkiError
from meshpki.probing import Probe, Tally
from meshpki.probing.counters import Changes, compare, snapshot
from meshpki.rotate.acts import proxies


class Evidence:
    """Begins with a look at every Envoy's counters; `conclude` takes the second one."""

    def __init__(self, reader: Reader, probe: Probe, control: str) -> None:
        """`probe` counts already; `control` is how the negative control was refused. Raises ClusterError."""
        self._reader, self._probe, self.control = reader, probe, control
        self._before = snapshot(reader, proxies(reader))
        self.changes: Changes | None = None
        self.tally: Tally = probe.tally()

    def guard(self, _reader: Reader) -> str:
        """Why the rotation has to stop: a request that failed, a stream that broke; empty while there is none."""
        tally = self._probe.tally()
        return tally.why_not() if tally.failed or tally.breaks else ""

    def doubts(self, _reader: Reader) -> str:
        """As `guard`, after a look of now, and also what could not be seen: for the act that cannot be taken back."""
        self._probe.poll()
        return self._probe.tally().why_not()

    def cut_off(self) -> None:
        """Take what was read so far, and ask nobody: whoever interrupts does not wait."""
        self.tally = self._probe.tally()

    def conclude(self) -> None:
        """Read what is left; what cannot be read now is said by the tally, and proves nothing."""
        self._probe.poll()
        self.tally = self._probe.tally()
        try:
            self.changes = compare(self._before, snapshot(self._reader, proxies(self._reader)))
        except MeshpkiError:
            self.changes = None
