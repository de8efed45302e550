/* Looking for workers that do not get on; see watchdog.h. */
#include "flow/watchdog.h"

#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"

/* Looks within the time: what is told is at most an eighth late, or a tick. At least one a second, so
   that the count is true again before the control loop sleeps. */
#define LOOKS 8
#define PERIOD_NS_MAX UINT64_C(1000000000)

/* When this many looks in a row did not take place, nobody else may have run either: the machine was
   asleep, or so busy that workers had no time. Then everybody's time begins anew. */
#define LOOKS_MISSED 4

/* Lines per look. A service that stops answering makes every worker stuck at the same moment. */
#define LINES_MAX 8

static bool same(const struct npi_watch *a, const struct npi_watch *b)
{
    return a->done == b->done && a->dropped == b->dropped && a->started_ticks == b->started_ticks &&
           a->signs == b->signs;
}

/* A worker that runs tasks or holds a permit to: not one that sleeps, ends, or has not begun. */
static bool is_up(const struct npi_worker *worker, uint32_t whereabouts)
{
    uint32_t word = npi_a32_load_acquire(&worker->shard->gate.sleepers[worker->index].word);
    return (word == NPI_SLEEPER_AWAKE || word == NPI_SLEEPER_WOKEN ||
            NPI_MUTANT(leaving_unwatched, whereabouts == NPI_IN_LEAVE, false)) &&
           npi_a32_load_relaxed(&worker->tid) != 0;
}

/* When what it does now began: between the last look and this one, and a task says it better. */
static uint64_t began_ns(const struct npi_watch *before, const struct npi_watch *now,
                         uint64_t looked_ns, uint64_t now_ns)
{
    if (now->started_ticks == 0 || now->signs != before->signs || looked_ns == 0) {
        return now_ns;
    }
    uint64_t ticks = npi_clock_ticks() - now->started_ticks;
    uint64_t age_ns = (int64_t)ticks > 0 ? npi_clock_ticks_to_ns(ticks) : 0;
    return now_ns - looked_ns > age_ns ? now_ns - age_ns : looked_ns;
}

static void tell(const struct npi_worker *worker, const struct npi_watch *watch, uint64_t stuck_ns)
{
    const struct npi_shard *shard = worker->shard;
    double seconds = (double)stuck_ns / 1e9;
    unsigned tid = npi_a32_load_relaxed(&worker->tid);
    bool drops = (watch->signs & NPI_WHEREABOUTS) == NPI_IN_DROP;
    if (watch->started_ticks == 0 && !drops) {
        npi_pool_log(shard->pool, NUMAPOOL_LOG_WARNING,
                     "shard %u: worker %u (thread %u) has stood still between tasks for %.1f s",
                     shard->index, worker->index, tid, seconds);
    } else {
        npi_pool_log(shard->pool, NUMAPOOL_LOG_WARNING,
                     "shard %u: worker %u (thread %u) has been in %s for %.1f s: function %#llx",
                     shard->index, worker->index, tid, drops ? "the drop of one task" : "one task",
                     seconds, (unsigned long long)npi_a64_load_relaxed(&worker->function));
    }
}

static void tell_moves(const struct npi_worker *worker, uint64_t stuck_ns)
{
    npi_pool_log(worker->shard->pool, NUMAPOOL_LOG_INFO,
                 "shard %u: worker %u gets on again, after %.1f s", worker->shard->index,
                 worker->index, (double)stuck_ns / 1e9);
}

struct look {
    uint64_t now_ns, before_ns; /* this look and the last */
    bool anew;                  /* everybody's time begins now */
    uint32_t stuck, new_stuck, lines, untold;
};

static void look_at(struct npi_worker *worker, struct look *look)
{
    uint64_t limit_ns = worker->shard->pool->config.watchdog_ns;
    struct npi_watch *before = &worker->watch;
    struct npi_watch now = {
        .done = npi_a64_load_relaxed(&worker->done),
        .dropped = npi_a64_load_relaxed(&worker->dropped),
        .started_ticks = npi_a64_load_relaxed(&worker->started_ticks),
        .signs = npi_a32_load_relaxed(&worker->signs),
    };
    uint32_t whereabouts = now.signs & NPI_WHEREABOUTS;
    bool up = is_up(worker, whereabouts), waits = whereabouts == NPI_IN_WAIT;
    bool told = before->tell_after_ns != 0;
    if (up && !waits && before->since_ns != 0 && same(before, &now) && (told || !look->anew)) {
        uint64_t stuck_ns = look->now_ns - before->since_ns;
        if (stuck_ns < limit_ns) {
            return;
        }
        look->stuck++;
        look->new_stuck += !told;
        if (told && stuck_ns < before->tell_after_ns) {
            return;
        }
        before->tell_after_ns = 2 * (told ? before->tell_after_ns : limit_ns);
        if (look->lines < LINES_MAX) {
            look->lines++;
            tell(worker, &now, stuck_ns);
        } else {
            look->untold++;
        }
        return;
    }
    if (told && look->lines < LINES_MAX) {
        look->lines++;
        tell_moves(worker, look->now_ns - before->since_ns);
    }
    now.since_ns =
        up && !waits ? began_ns(before, &now, look->anew ? 0 : look->before_ns, look->now_ns) : 0;
    *before = now;
}

uint64_t npi_watchdog_look(struct npi_watchdog *dog, struct npi_shard *shard, uint64_t now_ns)
{
    uint64_t limit_ns = shard->pool->config.watchdog_ns;
    if (limit_ns == NUMAPOOL_OFF) {
        return UINT64_MAX;
    }
    uint64_t tick_ns = shard->pool->config.tick_ns;
    uint64_t period_ns = limit_ns / LOOKS < PERIOD_NS_MAX ? limit_ns / LOOKS : PERIOD_NS_MAX;
    period_ns = period_ns > tick_ns ? period_ns : tick_ns;
    uint64_t age_ns = now_ns - dog->looked_ns;
    if (dog->looked_ns != 0 && age_ns < period_ns) {
        return dog->looked_ns + period_ns;
    }
    struct look look = {.now_ns = now_ns,
                        .before_ns = dog->looked_ns,
                        .anew = dog->looked_ns == 0 || age_ns > LOOKS_MISSED * period_ns};
    for (uint32_t i = 0; i < npi_a32_load_acquire(&shard->slots_used); i++) {
        look_at(&shard->workers[i], &look);
    }
    if (look.untold != 0) {
        npi_pool_log(shard->pool, NUMAPOOL_LOG_WARNING,
                     "shard %u: %u more of its workers do not get on either", shard->index,
                     look.untold);
    }
    npi_a32_store_relaxed(&shard->workers_stuck, look.stuck);
    if (look.new_stuck != 0) {
        (void)npi_a64_add_relaxed(&shard->tasks_stuck, look.new_stuck);
    }
    dog->looked_ns = now_ns;
    return now_ns + period_ns;
}
