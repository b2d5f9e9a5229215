"""An attempt as the board of health knows it: let through, and what it tells of the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.routing.circuit import unproven

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.errors import AttemptFailed, Cause
    from server.routing.circuit import Circuit
    from server.routing.health import Board
    from server.routing.observed import Latencies

_LONG = 1.0  # seconds without content that are never too long
_KNOWN = 10  # latencies from which on the usual one is known
_ILL: frozenset[Cause] = frozenset(
    {
        *("connect_failed", "connection_lost", "timed_out", "rate_limited", "access_refused"),
        *("quota_exceeded", "server_error", "broken_answer"),
    }
)
_WELL: frozenset[Cause] = frozenset({"refused", "no_such_model", "parameter_unsupported"})


class Probe:
    """One attempt's right to find out for a circuit, until it is given up or another has it."""

    def __init__(self, board: Board, circuit: Circuit) -> None:
        self._board = board
        self.circuit = circuit
        self._change = circuit.change()

    @property
    def _holds(self) -> bool:
        return self.circuit.change() == self._change

    def won(self) -> None:
        """All is well."""
        if self._holds:
            self.circuit.close(self._board.clock())
            self._board.publish(self.circuit)

    def lost(self, reason: str) -> None:
        """It is not: for longer now."""
        if self._holds:
            self.circuit.open(self._board.clock(), unproven(self.circuit.key[1]), reason)
            self._board.publish(self.circuit)

    def undecided(self, *, called: bool) -> None:
        """Nothing was learnt. The next may find out; where the provider was called, after as long again."""
        if not self._holds:
            return
        circuit, now = self.circuit, self._board.clock()
        circuit.state, circuit.until = unproven(circuit.key[1]), now
        if called:
            circuit.cool_down(now)
        self._board.publish(circuit)


class Ticket:
    """One attempt that was let through, and what it tells of the provider. It must be closed."""

    __slots__ = (
        *("_board", "_has_content", "_key_probe", "_of_provider", "_own", "_probe", "_slow"),
        *("_started", "_whole"),
    )

    def __init__(self, board: Board, own: Circuit, whole: Circuit, probes: Iterable[Probe] = ()) -> None:
        self._board = board
        self._own = own
        self._of_provider = whole
        self._probe: Probe | None = None
        self._key_probe: Probe | None = None
        for probe in probes:
            if probe.circuit is own:
                self._probe = probe
            else:
                self._key_probe = probe
        self._started: float | None = None
        self._whole = self._has_content = False
        self._slow = ""  # what is said of a first content that took too long
        own.outstanding += 1

    def called(self, *, whole: bool = False) -> None:
        """The provider is called now, for a stream or for a whole answer, which may take its time."""
        self._started = self._board.clock()
        self._whole = whole

    @property
    def took(self) -> float | None:
        """Seconds since the provider was called; None where it was not."""
        return None if self._started is None else self._board.clock() - self._started

    def content(self) -> None:
        """The first content has come, or the whole answer."""
        took, slow = self.took or 0.0, self._own.settings.slow
        self._latencies.add(took)
        if took > slow and not self._whole:
            self._slow = f"a first content after more than {slow:g} s"
        self._has_content = True
        self._found_out(self._slow)

    def succeeded(self) -> None:
        """It gave its answer to the end."""
        if self._slow:
            self._ill(self._slow)
        else:
            self._well()

    def failed(self, error: AttemptFailed) -> None:
        """It gave none, or not to its end."""
        if error.status is not None and error.cause != "key_refused" and self._key_probe is not None:
            self._key_probe.won()  # the key was taken, whatever else is wrong
        if error.cause == "key_refused":
            self._key_refused(error)
        elif error.cause == "rate_limited" and error.retry_after:
            self._board.limit(self._own.key[0], error.retry_after)
        elif not error.blame:
            self.outwaited()
        elif error.cause in _ILL:
            self._ill(error.cause if error.status is None else f"{error.cause} ({error.status})")
        elif error.cause in _WELL:
            self._well()

    def refused(self) -> None:
        """It said that the request is wrong, and is well."""
        self._well()

    def outwaited(self) -> None:
        """The caller would not wait longer: that tells of the provider where it is seldom that slow."""
        usual, waited = self._latencies.usual(_KNOWN), self.took or 0.0
        limit = self._own.settings.patience if usual is None else max(_LONG, 2 * usual)
        if self._has_content or (self._whole and usual is None):  # how long an answer may be is not known
            return
        if waited > limit:
            self._ill(f"no content within {waited:.1f} s")

    def close(self) -> None:
        """The attempt is over; where nothing was learnt of it, the next may find out."""
        self._own.outstanding -= 1
        for probe in (self._probe, self._key_probe):
            if probe is not None:
                probe.undecided(called=self._started is not None)

    @property
    def _latencies(self) -> Latencies:
        """Those of its kind."""
        observed = self._own.observed
        return observed.whole if self._whole else observed.first_content

    def _found_out(self, fault: str = "") -> None:
        """What it was to find out is known: the key was taken, and the model is well, or has a fault."""
        if self._key_probe is not None:
            self._key_probe.won()
        if self._probe is not None:
            if fault:
                self._probe.lost(fault)
            else:
                self._probe.won()

    def _well(self) -> None:
        now = self._board.clock()
        self._own.observed.succeeded(now)
        self._found_out()
        self._own.forget(now)
        self._of_provider.forget(now)

    def _ill(self, what: str) -> None:
        now, own = self._board.clock(), self._own
        own.observed.failed(now)
        if self._probe is not None:
            self._probe.lost(what)
        if own.settings.enabled and own.state == "closed" and (why := own.judge(now)):
            own.open(now, "open", f"{why}; the last: {what}")
            self._board.publish(own)

    def _key_refused(self, error: AttemptFailed) -> None:
        provider = self._own.key[0]
        self._own.observed.failed(self._board.clock())
        if self._key_probe is not None:
            self._key_probe.lost(self._board.refusal(provider, error.status))
        self._board.disable(provider, error.status)
