# Commands of gdb for programs that use numapool, over a live process or a core file:
#
#   numapool pools                 the pools of the process
#   numapool shards [POOL]         each shard's queue, limits and counters
#   numapool backlog [POOL] [all]  what waits: by function, or task by task with `all`
#   numapool workers [POOL]        what each worker is in: the task's function, since when, its thread
#
# POOL is a number that `numapool pools` shows, as in the text of numapool_dump_state(). Nothing is called in the
# process and nothing is changed. Installed where gdb loads it with the library; by hand: source FILE.
# Needs the debug information of the library (gcc -g). Times are of what the process knew last, since a
# core file has no clock: "ago" is before the newest start or submit that is to be seen anywhere.

import gdb

RANKS = ("critical", "normal", "sheddable")

# The words of a queued task, as in src/flow/task.h, whose macros debug information does not hold.
RUN, ARG, STAMP, META = range(4)
DROP, GROUP, DEADLINE, BYTES = range(4)
META_HOME = 0xFFFF
META_STRICT = 1 << 18
META_DROP_OK = 1 << 20
META_GUEST = 1 << 21
META_FULL = 1 << 63


def word(value):
    """The number in an atomic word."""
    return int(value["value_"])


def signed(number, bits=64):
    return number - (1 << bits) if number >> (bits - 1) else number


def need(found, what):
    if found is None:
        raise gdb.GdbError(
            "numapool: %s is not to be found: the library has no debug information (build it with -g, or "
            "install the package's -dbgsym), or the program does not use it" % what)
    return found


def pool_type():
    """struct numapool as the library has it; C++ programs have a class of that name that is something else."""
    function = gdb.lookup_global_symbol("npi_pool_free")
    if function is None:
        function = gdb.lookup_static_symbol("npi_pool_free")
    return need(function, "struct numapool").type.fields()[0].type.target()


def names_of(enum, prefix):
    """Number -> name of an enumeration of the library."""
    try:
        fields = gdb.lookup_type("enum " + enum).fields()
    except gdb.error:
        need(None, "enum " + enum)
    return {int(f.enumval): f.name[len(prefix):].lower() for f in fields}


def pools():
    table = gdb.lookup_global_symbol("npi_registry")
    if table is None:
        table = gdb.lookup_static_symbol("npi_registry")
    slots = need(table, "npi_registry").value()["slots"]
    pointer = pool_type().pointer()
    first, last = slots.type.range()
    for i in range(first, last + 1):
        address = word(slots[i]["pool"])
        if address != 0:
            yield gdb.Value(address).cast(pointer).dereference()


def chosen(argument):
    """The pools that an argument names, all without one."""
    all_pools = list(pools())
    if not argument:
        return all_pools
    if not argument.isdigit():
        raise gdb.GdbError("numapool: '%s' is no number of a pool; `numapool pools` lists them" % argument)
    found = [pool for pool in all_pools if int(pool["id"]) == int(argument)]
    if not found:
        raise gdb.GdbError("numapool: there is no pool %s; there are: %s" % (
            argument, ", ".join(str(int(pool["id"])) for pool in all_pools) or "none"))
    return found


def shards_of(pool):
    for i in range(int(pool["shard_count"])):
        yield pool["shards"][i].dereference()


def workers_of(shard):
    for i in range(word(shard["slots_used"])):
        yield shard["workers"][i], word(shard["gate"]["sleepers"][i]["word"])


def function_name(address):
    """`name` or `name+12`, else the number."""
    text = gdb.execute("info symbol %#x" % address, to_string=True)
    if text.startswith("No symbol"):
        return "%#x" % address
    return text.split(" in section")[0].replace(" + ", "+")


class Task:
    """One queued task."""

    def __init__(self, slot, more):
        self.run, self.arg, self.stamp, meta = (word(slot["word"][i]) for i in range(4))
        self.home = meta & META_HOME
        self.more = [word(more["word"][i]) for i in range(4)] if meta & META_FULL else [0] * 4
        self.marks = [name for bit, name in ((META_GUEST, "guest of shard %d" % self.home),
                                             (META_STRICT, "strict"), (META_DROP_OK, "drop ok"))
                      if meta & bit]
        if self.more[GROUP]:
            self.marks.append("group %#x" % self.more[GROUP])
        if self.more[DEADLINE]:
            self.marks.append("deadline")
        if self.more[BYTES]:
            self.marks.append("%d bytes" % self.more[BYTES])


def waiting(shard, rank):
    """The tasks of a class, oldest first of each lane."""
    lanes = shard["lanes"]
    first, last = lanes.type.range()
    for lane in range(first, last + 1):
        ring = lanes[lane]
        head, tail = word(ring["head"][rank]), word(ring["tail"][rank])
        for position in range(tail - head):
            at = (head + position) & int(ring["mask"])
            yield Task(ring["slots"][rank][at], ring["mores"][rank][at])


def count_waiting(shard, rank):
    lanes = shard["lanes"]
    first, last = lanes.type.range()
    return sum(word(lanes[i]["tail"][rank]) - word(lanes[i]["head"][rank])
               for i in range(first, last + 1))


class Clock:
    """Ticks to text, before the newest that is known."""

    def __init__(self, of_pools):
        rate = gdb.lookup_static_symbol("ns_per_tick_32")
        self.ns_per_tick_32 = int(need(rate, "the rate of the clock").value())
        stamps = [word(worker["started_ticks"]) for pool in of_pools for shard in shards_of(pool)
                  for worker, _ in workers_of(shard)]
        stamps += [word(shard["lanes"][0]["newest"]) for pool in of_pools for shard in shards_of(pool)]
        self.newest = max(stamps, default=0)

    def ago(self, ticks):
        ns = max(0, self.newest - ticks) * self.ns_per_tick_32 >> 32
        return "%.3f s" % (ns / 1e9)


def limits(shard):
    """active, searching, limit of the permits; src/queue/gate.h."""
    permits = word(shard["gate"]["permits"])
    active = permits >> 20 & 0xFFFFF
    return active, permits & 0xFFFFF, active + signed(permits >> 40, 24)


class Prefix(gdb.Command):
    """What the pools of numapool do: numapool pools, shards, backlog, workers."""

    def __init__(self):
        super().__init__("numapool", gdb.COMMAND_STATUS, prefix=True)

    def invoke(self, argument, from_tty):
        Pools.show("")


class Command(gdb.Command):
    def __init__(self, name):
        super().__init__("numapool " + name, gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        self.show(argument)


class Pools(Command):
    """numapool pools: the pools of the process."""

    @staticmethod
    def show(argument):
        phases = names_of("npi_phase", "NPI_PHASE_")
        print("%4s %-5s %-9s %7s %7s %8s %7s %8s  %s" % (
            "pool", "name", "phase", "shards", "budget", "threads", "blocked", "waiting", "address"))
        count = 0
        for pool in chosen(argument):
            depth = sum(count_waiting(shard, rank) for shard in shards_of(pool) for rank in range(3))
            print("%4d %-5s %-9s %7d %7d %8d %7d %8d  %#x" % (
                int(pool["id"]), pool["name"].string(), phases.get(word(pool["phase"]), "?"),
                int(pool["shard_count"]), word(pool["budget"]), word(pool["threads"]),
                word(pool["blocked"]), depth, int(pool.address)))
            count += 1
        if count == 0:
            print("no pool")


class Shards(Command):
    """numapool shards [POOL]: each shard's queue, limits and counters."""

    @staticmethod
    def show(argument):
        refusals = names_of("npi_refusal", "NPI_REFUSED_")
        for pool in chosen(argument):
            for shard in shards_of(pool):
                active, searching, limit = limits(shard)
                counts = [count_waiting(shard, rank) for rank in range(3)]
                print("pool %d shard %d, node %d: %d of %d wait (%s); quota %d, cap %d, limit %d, "
                      "active %d, searching %d, threads %d" % (
                          int(pool["id"]), int(shard["index"]), int(shard["node"]), sum(counts),
                          int(shard["capacity_tasks"]),
                          ", ".join("%s %d" % pair for pair in zip(RANKS, counts)),
                          word(shard["quota"]), word(shard["cap"]), limit, active, searching,
                          word(shard["threads"])))
                done = sum(word(worker["done"]) for worker, _ in workers_of(shard))
                dropped = sum(word(worker["dropped"]) for worker, _ in workers_of(shard))
                print("  run %d, dropped %d, forwarded in %d out %d, stolen in %d out %d, stuck %d" % (
                    done, dropped + word(shard["dropped_closed"]), word(shard["forwarded_in"]),
                    word(shard["forwarded_out"]), word(shard["stolen_in"]), word(shard["stolen_out"]),
                    word(shard["workers_stuck"])))
                first, last = shard["refused"].type.range()
                print("  refused: " + ", ".join(
                    "%s %d" % (refusals.get(i, str(i)), word(shard["refused"][i]))
                    for i in range(first, last + 1)))


class Backlog(Command):
    """numapool backlog [POOL] [all]: what waits, by function, or task by task."""

    @staticmethod
    def show(argument):
        words = gdb.string_to_argv(argument)
        each = "all" in words
        words = [w for w in words if w != "all"]
        if len(words) > 1:
            raise gdb.GdbError("usage: numapool backlog [POOL] [all]")
        of_pools = chosen(words[0] if words else "")
        clock = Clock(of_pools)
        nothing = True
        for pool in of_pools:
            for shard in shards_of(pool):
                for rank, name in enumerate(RANKS):
                    where = "pool %d shard %d %s" % (int(pool["id"]), int(shard["index"]), name)
                    functions = {}
                    for task in waiting(shard, rank):
                        nothing = False
                        if each:
                            print("%s: %s arg %#x, submitted %s ago%s" % (
                                where, function_name(task.run), task.arg, clock.ago(task.stamp),
                                "".join(", " + mark for mark in task.marks)))
                        count, oldest = functions.get(task.run, (0, task.stamp))
                        functions[task.run] = (count + 1, min(oldest, task.stamp))
                    for run, (count, oldest) in sorted(functions.items(), key=lambda f: -f[1][0]):
                        if not each:
                            print("%s: %d x %s, the oldest submitted %s ago" % (
                                where, count, function_name(run), clock.ago(oldest)))
        if nothing:
            print("nothing waits")


class Workers(Command):
    """numapool workers [POOL]: what each worker is in."""

    @staticmethod
    def show(argument):
        states = names_of("npi_sleeper_state", "NPI_SLEEPER_")
        where = names_of("npi_whereabouts", "NPI_")
        threads = {thread.ptid[1]: thread.num for thread in gdb.selected_inferior().threads()}
        of_pools = chosen(argument)
        clock = Clock(of_pools)
        for pool in of_pools:
            for shard in shards_of(pool):
                for worker, state in workers_of(shard):
                    state = states.get(state, "?")
                    if state in ("free", "left"):
                        continue
                    tid = word(worker["tid"])
                    started = word(worker["started_ticks"])
                    within = where.get(word(worker["signs"]) & 3, "")
                    function = word(worker["function"])
                    if state in ("asleep", "dismissed") and within != "in_leave":
                        does = "asleep"
                    elif within == "in_drop":
                        does = "in the drop of a task, %s" % function_name(function)
                    elif started != 0:
                        does = "%s %s, begun %s ago" % (
                            "waits inside" if within == "in_wait" else "runs", function_name(function),
                            clock.ago(started))
                    else:
                        does = "between tasks"
                    print("pool %d shard %d worker %d, thread %s (LWP %d): %s; run %d, dropped %d" % (
                        int(pool["id"]), int(shard["index"]), int(worker["index"]),
                        threads.get(tid, "?"), tid, does, word(worker["done"]), word(worker["dropped"])))


Prefix()
Pools("pools")
Shards("shards")
Backlog("backlog")
Workers("workers")
