@dataclass(slots=True)
class Played:
    """How a night ended. ``violations`` is empty when everything held."""

    night: Night
    exit: Exit | None = None
    processes: int = 0
    records: tuple[Record, ...] = ()  # of the journal as the last process had it
    history: tuple[tuple[float, float], ...] = ()  # (loop time, weight): where traffic really was
    faults: Counter[str] = field(default_factory=Counter)
    violations: tuple[Violation, ...] = ()


def play(seed: int) -> Played:
    """Plays the night of a seed to its end."""
    return play_night(draw_night(seed))


def play_night(night: Night) -> Played:
    world = World(night)
    return run_virtually(world.play(), LONGEST)


class World:
    """Everything that outlives a process of the controller, and the process that is alive."""

    def __init__(self, night: Night) -> None:
        self.night, self.plan = night, night.plan
        self.played = Played(night)
        self.clock = FakeClock()
        self.disk = Disk()
        self.balancer = Balancer(self._moved)
        if night.undo:
            self.balancer.weight, self.balancer.history = ALL, [(0.0, ALL)]
        self.limits, self.notifier = FakeRateLimits(), FakeNotifier()
        self.probes = FakeProbes(self._failing, roles=night.roles)
        self.metrics = FakeMetrics(
            self.balancer,
            candidate=night.candidate,
            stable=night.stable,
            period=self.plan.metrics.period,
            delay=night.metrics_delay,
            rate_limited=night.rate_limited,
            missing_from=night.missing_from,
        )
        self.faults = Faults(str(night.seed), night.calm_at, night.rates, night.outages, self.played.faults)
        self._luck = random.Random(f"world {night.seed}")
        self.process: Process | None = None
        self.controller: Controller | None = None
        self.journal: FaultyJournal | None = None
        self.state = State()  # of the process that died last
        self.start = 0.0
        self.violations: list[Violation] = []
        self.ended, self.ended_at = False, 0.0
        self.strange_at = -1e9  # the last time somebody else moved traffic
        self.told_aborted = False  # an operator's abort was accepted
        self._due_alarms = sorted(night.alarms, key=lambda due: due[0])

    # --- the night

    async def play(self) -> Played:
        loop, night, played = asyncio.get_running_loop(), self.night, self.played
        loop.set_exception_handler(lambda loop, context: None)  # what a task of a dead process raised
        self.start = self.clock.now()
        for at, command in night.commands:
            loop.call_at(at, self._operate, command)
        for at, slept in night.sleeps:
            loop.call_at(at, self._sleep, slept)
        for at, weight in night.strangers:
            loop.call_at(at, self._stranger, weight)
        loop.call_at(night.calm_at + 3 * self.plan.apply_limit + 60, self._in_line)
        loop.call_at(night.calm_at + 60, self._decide_a_pause)
        self._header()
        deaths = list(zip(night.deaths, night.rests, night.skews, strict=True))
        while True:
            death, rest, skew = deaths.pop(0) if deaths else (None, 3.0, 0.0)
            played.exit = await self._process(death)
            played.processes += 1
            if played.exit not in (None, Exit.FAILED):
                break
            if loop.time() > LONGEST / 2:
                self.violations.append(Violation(loop.time(), "the rollout never ends"))
                break
            await asyncio.sleep(rest)
            self.clock.epoch += skew
        await self._end()
        return played

    def _header(self) -> None:
        journal = self._open(Process())
        header = Header(
            plan_text(self.night.plan_name)[0], "prod", "blue", "green", self.start, self.night.scale
        )
        journal.append("rollout", 0, header.to_json())
        journal.close()

    def _open(self, process: Process) -> FaultyJournal:
        calls = Calls(process, self.faults)

        async def sync() -> None:
            fault = self.faults.at("durable")
            if fault in (Fault.ERROR, Fault.LOST):
                raise OSError(28, "No space left on device")
            if fault is Fault.HANG:
                await asyncio.Event().wait()
            if fault:
                await asyncio.sleep(self.faults.seconds("durable"))

        return FaultyJournal(self.disk, self.clock, calls.process, sync)

    async def _process(self, death: Death | None) -> Exit | None:
        """One process of the controller, from its start to its end or death (``None``)."""
        process = self.process = Process(death)
        records = self.disk.records()
        past = recall(self.plan, records) if len(records) > 1 else None
        if past and past.ended:
            return Exit(past.ended.exit)
        self.balancer.end_left_over()
        journal = self.journal = self._open(process)
        calls = Calls(process, self.faults)
        traffic = FaultyTraffic(calls, self.balancer, self._update_seconds, self._increase_begun)
        traffic.refused_at = self.night.refused_from
        self.controller = Controller(
            self.plan,
            ports=Ports(traffic, FaultyLimits(calls, self.limits), FaultyNotifier(calls, self.notifier)),
            metrics=FaultyMetrics(calls, self.metrics, self._alarms),
            probes=FaultyProbes(calls, self.probes),
            journal=journal,
            clock=self.clock,
            start=self.start,
            undo=self.night.undo,
            recheck=partial(calls.call, "recheck", self._recheck),
        )
        run = asyncio.create_task(self.controller.run(past))
        death_of = asyncio.create_task(process.died.wait())
        await asyncio.wait({run, death_of}, return_when=asyncio.FIRST_COMPLETED)
        ended = run.result() if run.done() and process.alive else None
        self.ended = ended not in (None, Exit.FAILED)
        await _end_tasks()
        self.state, self.controller = self.controller.state, None
        if ended is None:
            lost, torn = losses(self._luck) if self.night.rates else (0, False)
            journal.close(lost, torn=torn)
        else:
            journal.close()
        process.kill()
        return ended

    async def _end(self) -> None:
        """Traffic must stay where it is."""
        self.ended, self.ended_at = True, asyncio.get_running_loop().time()
        weight = self.balancer.weight
        await asyncio.sleep(_STAYS)
        self.played.records = tuple(self.journal.records) if self.journal else ()
        self.played.history = tuple(self.balancer.history)
        self.violations += invariants.of_the_end(self, weight)
        self.played.violations = tuple(self.violations)

    # --- what the world does

    def _failing(self, role: str, time: float) -> Sequence[str]:
        return [s.probe for s in self.night.streaks if s.role == role and s.begin <= time < s.end]

    async def _recheck(self) -> Sequence[str]:
        """What has to be true before a rollout."""
        return ["the candidate's version has changed"] if self._luck.random() < _CHANGED else []

    def _update_seconds(self) -> float:
        if asyncio.get_running_loop().time() >= self.night.calm_at:
            return 2.0
        return self._luck.uniform(*self.night.engine)

    def _alarms(self, t: float) -> list[Reading]:
        now, due = asyncio.get_running_loop().time(), []
        while self._due_alarms and self._due_alarms[0][0] <= now:
            _, alarm = self._due_alarms.pop(0)
            due.append(Reading(partial(Alarm, name=alarm.name, tier=alarm.tier, state=alarm.state)))
        return due

    def _sleep(self, seconds: float) -> None:
        self.clock.epoch += seconds

    def _stranger(self, weight: int) -> None:
        if not self.ended:
            self.balancer.move(weight, "stranger")

    def _operate(self, command: str) -> None:
        if self.controller and self.process and self.process.alive:
            asyncio.get_running_loop().create_task(self._ask(self.controller, command))

    async def _ask(self, controller: Controller, command: str) -> None:
        answer = await controller.operate(command)
        if answer.accepted and command == "abort":
            self.told_aborted = True
            if self.night.killed_by_operator and self.process:
                self.process.kill()

    def _decide_a_pause(self) -> None:
        """Somebody comes and decides what the operator paused."""
        if self.controller and self.controller.state.phase in STOPPED:
            self._operate(self._luck.choice(("resume", "abort")))
        if not self.ended:
            asyncio.get_running_loop().call_later(600, self._decide_a_pause)

    # --- what is observed

    def policy_state(self) -> State:
        """What the policy has decided so far."""
        return self.controller.state if self.controller else self.state

    def _moved(self, weight: float, by: str) -> None:
        if by in STRANGE:
            self.strange_at = asyncio.get_running_loop().time()
        self.violations += invariants.of_a_move(self, weight, by)

    def _increase_begun(self, weight: int) -> None:
        self.violations += invariants.of_an_increase(self, weight)

    def _in_line(self) -> None:
        self.violations += invariants.of_the_calm(self)


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
