"""What a caller must see of each fault at each stage: the table, and what its words mean.

A cell is the cause of the attempt; two with a `|` between where time decides; `whole` where the answer is
whole nevertheless; `-` where the fault makes no sense or is the same as in the cell before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.hostile.answers import FIRST, TEXT

CONNECT, FIRST_CONTENT, IDLE, TOTAL = 1.0, 1.0, 0.8, 2.4  # the limits of the rows, in seconds
LIMITS = {"connect": CONNECT, "first_content": FIRST_CONTENT, "idle": IDLE, "total": TOTAL}

STREAM = """
fault                 connect       before within headers role    content finish
refuse                connect       -      -      -       -       -       -
reset                 lost|connect  lost   lost   lost    lost    lost    whole
close                 lost          lost   lost   lost    lost    lost    whole
silence               time          time   time   time    time    time    whole
drip                  -             time   time   time    time    time    whole
endless-headers       -             broken broken -       -       -       -
endless-header        -             broken broken -       -       -       -
endless-status        -             broken -      -       -       -       -
not-http              -             broken -      -       -       -       -
no-head               -             broken -      -       -       -       -
http10                -             whole  -      -       -       -       -
http10-cut            -             lost   -      -       -       -       -
status-999            -             server -      -       -       -       -
no-content            -             broken -      -       -       -       -
not-modified          -             broken -      -       -       -       -
switching             -             broken -      -       -       -       -
continues             -             whole  -      -       -       -       -
continues-for-ever    -             time|broken - -       -       -       -
continues-in-a-flood  -             time|broken - -       -       -       -
redirect-300          -             broken -      -       -       -       -
redirect-301          -             broken -      -       -       -       -
redirect-302          -             broken -      -       -       -       -
redirect-303          -             broken -      -       -       -       -
redirect-305          -             broken -      -       -       -       -
redirect-307          -             broken -      -       -       -       -
redirect-308          -             broken -      -       -       -       -
endless-error         -             server -      -       -       -       -
silent-error          -             time   -      -       -       -       -
gzip                  -             whole  -      -       -       -       -
gzip-bomb             -             broken|time - -       -       -       -
gzip-twice            -             broken -      -       -       -       -
gzip-lie              -             broken -      -       -       -       -
length-long           -             whole  -      -       -       -       -
length-long-closed    -             whole  -      -       -       -       -
length-short          -             lost   -      -       -       -       -
length-negative       -             broken -      -       -       -       -
length-odd            -             broken -      -       -       -       -
two-lengths           -             broken -      -       -       -       -
length-and-chunks     -             broken -      -       -       -       -
nul-in-header         -             broken -      -       -       -       -
lines-in-lf           -             whole  -      -       -       -       -
bare-cr               -             broken -      -       -       -       -
folded                -             whole  -      -       -       -       -
blank-before-colon    -             broken -      -       -       -       -
head-ends-early       -             broken -      -       -       -       -
steering-headers      -             whole  -      -       -       -       -
pipelined             -             whole  -      -       -       -       -
html-page             -             broken -      lost    lost    lost    whole
empty-body            -             lost   -      -       -       -       -
wrong-type            -             broken -      -       -       -       -
no-type               -             broken -      -       -       -       -
other-kind            -             broken -      -       -       -       -
ends                  -             -      -      lost    lost    lost    -
framing               -             -      -      broken  broken  broken  whole
framing-short         -             -      -      broken  broken  broken  whole
framing-huge          -             -      -      broken  broken  broken  whole
chunk-extensions      -             -      -      whole   whole   whole   whole
broken-json           -             -      -      broken  broken  broken  whole
half-character        -             -      -      lost    lost    lost    whole
half-character-ended  -             -      -      broken  broken  broken  whole
not-utf8              -             -      -      broken  broken  broken  whole
lone-surrogate        -             -      -      broken  broken  broken  whole
nul-escaped           -             -      -      whole   whole   whole   -
nul-in-text           -             -      -      broken  broken  broken  whole
nul-line              -             -      -      whole   whole   whole   whole
huge-event            -             -      -      broken|time - broken|time whole
endless-line          -             -      -      broken  broken  broken  whole
endless-lines         -             -      -      broken|time - broken|time whole
deep                  -             -      -      broken  broken  broken  whole
deep-addition         -             -      -      whole   whole   whole   whole
wrong-types           -             -      -      broken  broken  broken  whole
no-object             -             -      -      broken  broken  broken  whole
error-object          -             server -      server  server  server  whole
refusal               -             -      -      refused refused refused whole
done-twice            -             -      -      -       -       -       whole
done-early            -             -      -      lost    lost    lost    -
no-done               -             -      -      -       -       -       whole
later-content         -             -      -      -       -       -       whole
content-after-done    -             -      -      -       -       -       whole
roles-in-a-flood      -             -      -      broken|time - broken|time whole
roles                 -             -      -      time    time    time    whole
comments              -             -      -      time    time    time    whole
other-choice          -             -      -      -       -       broken  whole
odd-choice            -             -      -      -       -       broken  whole
"""

WHOLE = """
fault                 connect       before within headers body
refuse                connect       -      -      -       -
reset                 lost|connect  lost   lost   lost    lost
close                 lost          lost   lost   lost    lost
silence               time          time   time   time    time
drip                  -             time   time   time    time
endless-headers       -             broken broken -       -
endless-header        -             broken broken -       -
endless-status        -             broken -      -       -
not-http              -             broken -      -       -
no-head               -             broken -      -       -
http10                -             whole  -      -       -
http10-cut            -             broken -      -       -
status-999            -             server -      -       -
no-content            -             broken -      -       -
not-modified          -             broken -      -       -
switching             -             broken -      -       -
continues             -             whole  -      -       -
continues-for-ever    -             time|broken - -       -
continues-in-a-flood  -             time|broken - -       -
redirect-300          -             broken -      -       -
redirect-301          -             broken -      -       -
redirect-302          -             broken -      -       -
redirect-303          -             broken -      -       -
redirect-305          -             broken -      -       -
redirect-307          -             broken -      -       -
redirect-308          -             broken -      -       -
endless-error         -             server -      -       -
silent-error          -             time   -      -       -
gzip                  -             whole  -      -       -
gzip-bomb             -             broken|time - -       -
gzip-twice            -             broken -      -       -
gzip-lie              -             broken -      -       -
length-long           -             time   -      -       -
length-long-closed    -             lost   -      -       -
length-short          -             broken -      -       -
length-negative       -             broken -      -       -
length-odd            -             broken -      -       -
two-lengths           -             broken -      -       -
length-and-chunks     -             broken -      -       -
nul-in-header         -             broken -      -       -
lines-in-lf           -             whole  -      -       -
bare-cr               -             broken -      -       -
folded                -             whole  -      -       -
blank-before-colon    -             broken -      -       -
head-ends-early       -             broken -      -       -
steering-headers      -             whole  -      -       -
pipelined             -             whole  -      -       -
html-page             -             broken -      broken  broken
empty-body            -             broken -      -       -
wrong-type            -             whole  -      -       -
no-type               -             whole  -      -       -
other-kind            -             broken -      -       -
ends                  -             -      -      broken  broken
framing               -             -      -      broken  broken
framing-short         -             -      -      broken  broken
framing-huge          -             -      -      broken  broken
chunk-extensions      -             -      -      whole   whole
broken-json           -             -      -      broken  broken
half-character        -             -      -      lost    lost
half-character-ended  -             -      -      broken  broken
not-utf8              -             -      -      broken  broken
lone-surrogate        -             -      -      broken  -
nul-escaped           -             -      -      whole   -
nul-in-text           -             -      -      broken  -
nul-line              -             -      -      broken  broken
endless-line          -             -      -      broken  broken
deep                  -             -      -      broken  broken
wrong-types           -             -      -      broken  -
no-object             -             -      -      broken  -
error-object          -             server -      server  -
refusal               -             -      -      refused -
"""

# The text where it is neither the faulty provider's whole one, nor, of a stream that breaks after its first
# content, that alone. `length-short` and `http10-cut` begin with a head, and break within the body.
TEXTS = {
    ("stream", "http10-cut", "before"): FIRST,
    ("stream", "length-short", "before"): FIRST,
    ("stream", "nul-escaped", "headers"): f"\0{TEXT}",
    ("stream", "nul-escaped", "role"): f"\0{TEXT}",
    ("stream", "nul-escaped", "content"): f"{FIRST}\0{TEXT.removeprefix(FIRST)}",
    ("whole", "nul-escaped", "headers"): f"\0{TEXT}",
}

# Faults that cost as much of the service's processor as they can, the worst last.
GREEDY = ("huge-event", "endless-lines", "roles-in-a-flood", "gzip-bomb", "continues-in-a-flood")
_WAITING = (
    *("silence", "drip", "length-long", "roles", "comments"),
    *("framing", "framing-short", "framing-huge"),
)

CAUSES = {
    "connect": "connect_failed",
    "lost": "connection_lost",
    "time": "timed_out",
    "broken": "broken_answer",
    "server": "server_error",
    "refused": "refused",
}


@dataclass(frozen=True)
class Told:
    """How a call fails: HTTP status, gRPC code, and `type` and `code` of OpenAI's error."""

    http: int
    grpc: str
    type: str
    code: str


FAILED = Told(503, "UNAVAILABLE", "api_error", "all_providers_failed")
BROKEN = Told(503, "UNAVAILABLE", "api_error", "stream_broken")
TIMED_OUT = Told(504, "DEADLINE_EXCEEDED", "timeout_error", "timed_out")
REFUSED = Told(400, "INVALID_ARGUMENT", "invalid_request_error", "refused_by_provider")


@dataclass(frozen=True)
class Case:
    """A fault at a stage and what must be seen of it. `causes` are empty where the answer is whole.

    `text` is what reaches the caller of the faulty provider's.
    """

    kind: str  # `stream` or `whole`
    fault: str
    stage: str
    causes: tuple[str, ...]
    text: str

    @property
    def provider(self) -> str:
        """The id of the provider that has the fault."""
        return f"{self.fault}.{self.stage}"

    @property
    def whole(self) -> bool:
        """Whether the answer is whole nevertheless."""
        return not self.causes

    @property
    def greed(self) -> int:
        """How much of the service it may take from others; 0: nothing."""
        return GREEDY.index(self.fault) + 1 if self.fault in GREEDY else 0

    @property
    def longest(self) -> float:
        """The most seconds that it may take: an answer that has its finish reason waits for little more."""
        return IDLE if self.stage == "finish" and not self.greed else TOTAL

    @property
    def waits(self) -> bool:
        """Whether most of its time is spent in waiting."""
        return self.fault in _WAITING or "timed_out" in self.causes

    def told(self, cause: str) -> Told:
        """How a call fails for this cause that has nobody else to ask."""
        told = {"timed_out": TIMED_OUT, "refused": REFUSED}.get(cause, BROKEN if self.text else FAILED)
        return replace(told, http=200) if self.text else told  # the status has been sent by then

    def __str__(self) -> str:
        return f"{self.kind}-{self.provider}"


def _cases(kind: str, table: str) -> Iterator[Case]:
    (_, *stages), *rows = (line.split() for line in table.strip().splitlines())
    for fault, *cells in rows:
        for stage, cell in zip(stages, cells, strict=True):
            if cell != "-":
                causes = () if cell == "whole" else tuple(CAUSES[word] for word in cell.split("|"))
                text = TEXT if not causes else FIRST if stage == "content" else ""
                yield Case(kind, fault, stage, causes, TEXTS.get((kind, fault, stage), text))


CASES = (*_cases("stream", STREAM), *_cases("whole", WHOLE))
