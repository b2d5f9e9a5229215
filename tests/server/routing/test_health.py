"""When a provider is left alone, for how long, and how it comes back."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from server.drivers.echo import EchoDriver
from server.errors import AttemptFailed, Cause
from server.routing.circuit import Change
from server.routing.health import Board
from server.routing.roster import Provider
from server.routing.ticket import Ticket
from server.rows import Breaker, Row

ROW = Breaker(failures=3, rate=0.5, least=10, window=30, slow=10, patience=10, cool_down=5, longest=40)
DOWN = AttemptFailed("server_error", "down", status=500)


@dataclass
class World:
    """A board with a clock of its own, and what its peers are told."""

    now: float = 1000.0
    told: list[Change] = field(default_factory=list)
    grants: bool = True

    def __post_init__(self) -> None:
        self.board = Board(self, lambda: self.now)
        self.board.add("A", ROW, "A_KEY")

    def publish(self, change: Change) -> None:
        self.told.append(change)

    async def may_probe(self, change: Change) -> bool:  # noqa: ARG002
        return self.grants

    async def admit(self, model: str = "m") -> Ticket:
        return await self.board.admit("A", model)

    async def fail(self, error: AttemptFailed = DOWN, model: str = "m") -> None:
        ticket = await self.admit(model)
        ticket.called()
        ticket.failed(error)
        ticket.close()

    async def succeed(self, took: float = 0, model: str = "m") -> None:
        ticket = await self.admit(model)
        ticket.called()
        self.now += took
        ticket.content()
        ticket.succeeded()
        ticket.close()

    async def open(self) -> None:
        for _ in range(ROW.failures):
            await self.fail()

    async def refusal(self, model: str = "m") -> AttemptFailed:
        with pytest.raises(AttemptFailed) as refused:
            await self.admit(model)
        return refused.value

    @property
    def state(self) -> str:
        return self.board.circuit("A", "m").state


@pytest.fixture
def world() -> World:
    return World()


async def test_failures_in_a_row_open_the_breaker_of_that_model_alone(world: World) -> None:
    await world.fail()
    await world.fail()
    await world.succeed()
    await world.fail()
    await world.fail()
    assert world.state == "closed"
    await world.fail()
    assert world.state == "open"
    assert (await world.refusal()).cause == "circuit_open"
    await world.succeed(model="other")


async def test_a_share_of_failures_within_the_window_opens_it(world: World) -> None:
    for _ in range(5):
        await world.succeed()
        await world.fail()
    assert world.state == "open"


async def test_failures_beyond_the_window_are_forgotten(world: World) -> None:
    for _ in range(4):
        await world.succeed()
        await world.fail()
    world.now += ROW.window + 4
    await world.succeed()
    await world.fail()
    assert world.state == "closed"


@pytest.mark.parametrize(
    ("cause", "opens"),
    [
        ("connect_failed", True),
        ("connection_lost", True),
        ("timed_out", True),
        ("server_error", True),
        ("broken_answer", True),
        ("rate_limited", True),
        ("access_refused", True),
        ("quota_exceeded", True),
        ("no_such_model", False),
        ("parameter_unsupported", False),
        ("conflict", False),
        ("too_early", False),
    ],
)
async def test_only_what_tells_of_the_provider_counts(world: World, cause: Cause, opens: bool) -> None:
    for _ in range(ROW.failures):
        await world.fail(AttemptFailed(cause, "told"))
    assert (world.state == "open") is opens


async def test_after_the_cool_down_one_request_finds_out(world: World) -> None:
    await world.open()
    assert (await world.refusal()).retry_after == pytest.approx(5, rel=0.11)
    world.now += 6
    probe = await world.admit()
    assert world.state == "half_open"
    assert (await world.refusal()).cause == "circuit_open"
    probe.content()
    probe.succeeded()
    probe.close()
    assert world.state == "closed"
    await world.succeed()


async def test_the_cool_down_grows_with_each_probe_that_fails_up_to_a_bound(world: World) -> None:
    await world.open()
    waits = []
    for _ in range(6):
        waits.append((await world.refusal()).retry_after or 0)
        world.now += waits[-1] + 0.01
        await world.fail()
    assert [round(wait, 1) for wait in waits] == pytest.approx([5, 10, 20, 40, 40, 40], rel=0.11)


async def test_it_begins_small_again_when_all_was_well_for_a_while(world: World) -> None:
    await world.open()
    world.now += 6
    await world.succeed()
    world.now += ROW.window + 1
    await world.succeed()
    await world.open()
    assert (await world.refusal()).retry_after == pytest.approx(5, rel=0.11)


async def test_a_probe_whose_caller_leaves_lets_the_next_find_out(world: World) -> None:
    await world.open()
    world.now += 6
    (await world.admit()).close()
    assert world.state == "open"
    await world.succeed()
    assert world.state == "closed"


async def test_a_probe_that_hangs_until_its_caller_leaves_is_followed_by_another_cool_down(
    world: World,
) -> None:
    await world.open()
    world.now += 6
    probe = await world.admit()
    probe.called()
    world.now += 2
    probe.outwaited()
    probe.close()
    assert (await world.refusal()).retry_after == pytest.approx(5, rel=0.11)


async def test_the_first_content_of_a_probe_is_enough(world: World) -> None:
    await world.open()
    world.now += 6
    probe = await world.admit()
    probe.called()
    probe.content()
    await world.succeed()
    probe.close()
    assert world.state == "closed"


@pytest.mark.parametrize("end", ["leaves", "fails", "succeeds"])
async def test_a_probe_that_was_given_up_decides_nothing_any_more(world: World, end: str) -> None:
    await world.open()
    world.now += 6
    old = await world.admit()
    old.called()
    world.now += 31
    for _ in range(2):
        await world.succeed()
    if end == "fails":
        old.failed(DOWN)
    elif end == "succeeds":
        old.succeeded()
    old.close()
    assert (world.state, world.board.circuit("A", "m").reason) == ("closed", "")


async def test_a_caller_who_leaves_while_workers_agree_holds_nothing(world: World) -> None:
    await world.open()
    await world.fail(AttemptFailed("key_refused", "no", status=401), "other")
    world.now += 70
    asked: list[Change] = []
    second = asyncio.Event()

    async def slow(change: Change) -> bool:
        asked.append(change)
        if len(asked) == 2:
            second.set()
            await asyncio.Event().wait()
        return True

    world.may_probe = slow  # type: ignore[method-assign]
    admitting = asyncio.create_task(world.admit())
    await second.wait()
    admitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await admitting
    assert (world.board.circuit("A").state, world.state) == ("disabled", "open")
    last = {change.model: change.state for change in world.told}
    assert last == {"": "disabled", "m": "open"}  # so that others may find out


async def test_a_provider_that_hangs_for_longer_than_it_ever_took_is_left_alone(world: World) -> None:
    for _ in range(10):
        await world.succeed(took=0.4)
    for _ in range(ROW.failures):
        ticket = await world.admit()
        ticket.called()
        world.now += 1.5
        ticket.outwaited()
        ticket.close()
    assert world.state == "open"


async def test_nobody_is_to_blame_for_limits_that_a_caller_has_set(world: World) -> None:
    for _ in range(2 * ROW.failures):
        await world.fail(AttemptFailed("timed_out", "no content within 0.001 s", blame=False))
    assert world.state == "closed"


async def test_a_callers_limit_for_a_whole_answer_says_nothing_while_it_is_not_known_how_long_one_is(
    world: World,
) -> None:
    for _ in range(2 * ROW.failures):
        ticket = await world.admit()
        ticket.called(whole=True)
        world.now += 2 * ROW.patience
        ticket.failed(AttemptFailed("timed_out", "gave no whole answer within 20 s", blame=False))
        ticket.close()
    assert world.state == "closed"


async def test_a_deadline_after_the_first_content_says_nothing_of_the_provider(world: World) -> None:
    for _ in range(2 * ROW.failures):
        ticket = await world.admit()
        ticket.called()
        ticket.content()
        world.now += 90
        ticket.outwaited()
        ticket.close()
    assert world.state == "closed"


async def test_the_time_in_a_queue_is_not_the_providers(world: World) -> None:
    ticket = await world.admit()
    world.now += 100
    ticket.called()
    world.now += 0.25
    ticket.content()
    ticket.succeeded()
    ticket.close()
    assert world.board.circuit("A", "m").observed.median() == 0.25


async def test_what_an_upstream_says_is_not_shown_to_others(world: World) -> None:
    for _ in range(ROW.failures):
        await world.fail(AttemptFailed("server_error", "you asked: my secret", status=500))
    refusal = await world.refusal()
    assert "secret" not in refusal.message + world.board.circuit("A", "m").reason
    assert "server_error (500)" in refusal.message


async def test_a_429_with_no_time_to_wait_counts_as_a_failure(world: World) -> None:
    for _ in range(ROW.failures):
        await world.fail(AttemptFailed("rate_limited", "no", status=429, retry_after=0))
    assert world.state == "open"


async def test_a_provider_cannot_ask_to_be_left_alone_for_ever(world: World) -> None:
    await world.fail(AttemptFailed("rate_limited", "no", status=429, retry_after=86_400))
    assert (await world.refusal()).retry_after == ROW.longest_wait


async def test_a_key_is_only_known_to_be_taken_where_a_status_came_back(world: World) -> None:
    refused = AttemptFailed("key_refused", "no", status=401)
    await world.fail(refused)
    world.now += 70
    await world.fail(AttemptFailed("connect_failed", "nobody there"))
    assert world.board.disabled("A")
    world.now += 70
    await world.fail(AttemptFailed("rate_limited", "slow down", status=429, retry_after=7))
    assert world.board.disabled("A") == ""
    assert (await world.refusal()).cause == "rate_limited"


async def test_a_provider_is_not_enabled_while_its_key_is_being_tried(world: World) -> None:
    await world.fail(AttemptFailed("key_refused", "no", status=401))
    world.now += 70
    probe = await world.admit()
    assert world.board.disabled("A")
    probe.close()


async def test_the_cool_down_of_a_key_begins_small_again_too(world: World) -> None:
    refused = AttemptFailed("key_refused", "no", status=401)
    for _ in range(4):
        await world.fail(refused)
        world.now += 70
        await world.succeed()
        world.now += 10_000
        await world.succeed()
    await world.fail(refused)
    assert (await world.refusal()).retry_after == pytest.approx(60, rel=0.11)


async def test_a_probe_that_never_ends_is_given_up(world: World) -> None:
    await world.open()
    world.now += 6
    await world.admit()
    world.now += 31
    await world.succeed()
    assert world.state == "closed"


async def test_only_the_worker_that_is_granted_it_finds_out(world: World) -> None:
    await world.open()
    world.now += 6
    world.grants = False
    assert (await world.refusal()).cause == "circuit_open"
    assert world.state == "open"


async def test_a_429_closes_the_provider_for_just_its_time(world: World) -> None:
    world.board.add("B", ROW)
    await world.fail(AttemptFailed("rate_limited", "slow down", status=429, retry_after=7))
    refusal = await world.refusal("other")
    assert (refusal.cause, refusal.retry_after) == ("rate_limited", 7)
    (await world.board.admit("B", "m")).close()
    world.now += 7
    await world.succeed()
    assert world.board.circuit("A").state == "closed"


async def test_a_429_with_its_time_is_no_failure(world: World) -> None:
    for _ in range(ROW.failures):
        await world.fail(AttemptFailed("rate_limited", "slow down", status=429, retry_after=1))
        world.now += 1
    assert world.state == "closed"


async def test_a_refused_key_disables_the_provider_with_the_reason_and_is_tried_again(world: World) -> None:
    refused = AttemptFailed("key_refused", "it refused the key in A_KEY", status=401)
    await world.fail(refused)
    assert world.board.disabled("A") == "it refused the key in A_KEY (401)"
    refusal = await world.refusal("other")
    assert refusal.cause == "not_enabled"
    assert "A_KEY" in refusal.message
    world.now += 70
    await world.fail(refused)
    assert (await world.refusal()).retry_after == pytest.approx(120, rel=0.11)
    world.now += 140
    await world.succeed()
    assert world.board.disabled("A") == ""


async def test_a_slow_first_content_counts_as_a_failure(world: World) -> None:
    for _ in range(ROW.failures):
        await world.succeed(took=11)
    assert world.state == "open"
    assert "more than 10 s" in world.board.circuit("A", "m").reason


async def test_a_callers_short_deadline_says_nothing_of_the_provider(world: World) -> None:
    for wait in (1, 1, 1, 1, 11, 11, 11):
        ticket = await world.admit()
        assert world.state == "closed"
        ticket.called()
        world.now += wait
        ticket.outwaited()
        ticket.close()
    assert world.state == "open"


async def test_a_row_without_a_breaker_is_always_asked() -> None:
    board = Board()
    board.add("A", Breaker(enabled=False, failures=1))
    for error in (
        DOWN,
        AttemptFailed("key_refused", "no"),
        AttemptFailed("rate_limited", "", retry_after=9),
    ):
        ticket = await board.admit("A", "m")
        ticket.failed(error)
        ticket.close()
    (await board.admit("A", "m")).close()


async def test_workers_take_over_what_another_found_out(world: World) -> None:
    other = World()
    await world.open()
    for change in world.told:
        other.board.learn(change)
    assert (await other.refusal()).cause == "circuit_open"
    world.now = other.now = world.now + 6
    await world.succeed()
    for change in world.told:
        other.board.learn(change)
    await other.succeed()
    assert other.board.circuit("A", "m").times == 1  # it is remembered there, too


async def test_who_watches_hears_of_each_change_and_of_the_end(world: World) -> None:
    heard: list[str] = []

    async def watch() -> None:
        async for keys in world.board.watchers.changes():
            heard.append(world.state if keys else "begun")  # noqa: PERF401 - as it comes

    watching = asyncio.create_task(watch())
    await _until(lambda: heard == ["begun"])
    await world.open()
    await _until(lambda: heard == ["begun", "open"])
    world.now += 6
    await world.succeed()
    await _until(lambda: heard[-1] == "closed")
    world.board.close()
    await asyncio.wait_for(watching, 1)


@pytest.mark.parametrize("ill", [False, True])
async def test_names_that_callers_make_up_do_not_pile_up_and_breakers_still_work(
    world: World, ill: bool
) -> None:
    for number in range(4200):
        for _ in range(ROW.failures if ill else 1):
            await (world.fail if ill else world.succeed)(model=f"made-up-{number}")
    assert len(world.board.of("A")) <= 4096
    for _ in range(ROW.failures):
        await world.fail(model="new")
    assert (await world.refusal("new")).cause == "circuit_open"


async def _until(true: Callable[[], bool]) -> None:
    for _ in range(100):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come")


async def test_who_watches_hears_that_a_server_can_be_reached_again(world: World) -> None:
    provider = Provider(
        Row(id="A", driver="openai", base_url="http://localhost:1/v1", probe=True), EchoDriver(), None
    )
    provider.join(world.board)
    heard: list[str] = []

    async def watch() -> None:
        async for keys in world.board.watchers.changes():
            heard.extend(provider.missing or "there" for key in keys if key == ("A", ""))

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    provider.unreachable = ""
    await _until(lambda: heard == ["there"])
    provider.unreachable = "gone"
    await _until(lambda: heard == ["there", "gone"])
    watching.cancel()


async def test_workers_end_a_wait_that_another_began(world: World) -> None:
    other = World()
    await world.fail(AttemptFailed("rate_limited", "slow down", status=429, retry_after=7))
    for change in world.told:
        other.board.learn(change)
    assert (await other.refusal("any")).cause == "rate_limited"
    other.now += 7
    await other.succeed()
