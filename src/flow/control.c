/* A shard's control thread; see control.h. */
#include "flow/control.h"

#include "flow/pool.h"
#include "flow/usage.h"
#include "flow/worker.h"
#include "os/os.h"
#include "topology/cgroup.h"
#include "topology/place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* Threads started in one go beyond those asked for, when that many tasks wait: one takes about 50 us,
   so a tick's worth. */
#define STARTS_AHEAD 256

#define RETRY_NS_MIN (10 * MS)
#define RETRY_NS_MAX (1 * SECOND)

/* A thread that says it ends is looked for after this, then more and more seldom. */
#define REAP_NS_MIN UINT64_C(100000)
#define REAP_NS_MAX (100 * MS)

#define SUPERVISE_NS (1 * SECOND)

/* With nothing to run the tick slows down to this, for threads and memory to be given back ... */
#define QUIET_TICK_NS (250 * MS)
/* ... which has happened by then; a thread ends after idle_exit_ns (10 s by default). */
#define QUIET_AFTER_EXIT_NS (2 * SECOND)
#define QUIET_NS_MAX (15 * SECOND)

/* --------------------------------------------------------------------------- starting */

static char *stack_of(const struct npi_shard *shard, uint32_t slot)
{
    /* The first page of each stride stays inaccessible: the guard. */
    return shard->stacks + (size_t)slot * shard->stack_stride_bytes + npi_pages_size();
}

/* False: the thread has not ended, since its thread-specific data may have destructors that take
   their time; this thread does not wait for them. */
static bool reap(struct npi_shard *shard, struct npi_worker *worker)
{
    if (!worker->joinable) {
        return true;
    }
    if (pthread_tryjoin_np(worker->thread, NULL) != 0) {
        return false;
    }
    worker->joinable = false;
    npi_thread_usage_close(&worker->usage_fd);
    worker->sampled = false;
    (void)npi_pages_return(stack_of(shard, worker->index),
                           shard->stack_stride_bytes - npi_pages_size());
    (void)npi_a32_add_relaxed(&shard->threads_ended, (uint32_t)-1);
    (void)npi_a32_add_relaxed(&shard->pool->threads, (uint32_t)-1);
    return true;
}

/* Joins threads that ended; then others may be started that there was no room for. */
static void reap_ended(struct npi_control *control)
{
    struct npi_shard *shard = control->shard;
    struct numapool *pool = shard->pool;
    if (npi_a32_load_sc(&shard->threads_ended) == 0) {
        return;
    }
    uint32_t joined = 0;
    for (uint32_t i = 0; i < npi_a32_load_relaxed(&shard->slots_used); i++) {
        uint32_t word = npi_a32_load_acquire(&shard->gate.sleepers[i].word);
        struct npi_worker *worker = &shard->workers[i];
        if ((word == NPI_SLEEPER_LEFT || word == NPI_SLEEPER_FREE) && worker->joinable) {
            joined += reap(shard, worker);
        }
    }
    if (npi_a32_load_sc(&shard->threads_ended) == 0) {
        control->reap_step_ns = 0;
    } else { /* on their way out, as a rule for some microseconds only */
        control->reap_step_ns =
            control->reap_step_ns == 0 ? REAP_NS_MIN : control->reap_step_ns * 2;
    }
    /* Not for nothing: this shard may want one, too, and would never sleep until that thread is gone. */
    for (unsigned i = 0; NPI_MUTANT(kick_for_nothing, joined != 0, true) && i < pool->shard_count;
         i++) {
        if (npi_a32_load_relaxed(&pool->shards[i]->threads_wanted) != 0) {
            npi_shard_kick(pool->shards[i]);
        }
    }
}

static uint32_t free_slot(struct npi_control *control)
{
    struct npi_shard *shard = control->shard;
    for (uint32_t turn = 0; turn < shard->worker_slots; turn++) {
        uint32_t slot = control->next_slot;
        control->next_slot = slot + 1 < shard->worker_slots ? slot + 1 : 0;
        if (npi_a32_load_acquire(&shard->gate.sleepers[slot].word) == NPI_SLEEPER_FREE &&
            reap(shard, &shard->workers[slot])) {
            return slot;
        }
    }
    return NPI_GATE_NOBODY;
}

/* Starts a thread that takes over a reserved permit and a counted thread. */
static int start_worker(struct npi_control *control)
{
    struct npi_shard *shard = control->shard;
    uint32_t slot = free_slot(control);
    if (slot == NPI_GATE_NOBODY) {
        return -EAGAIN;
    }
    struct npi_worker *worker = &shard->workers[slot];
    if (slot >= npi_a32_load_relaxed(&shard->slots_used)) {
        for (uint32_t i = npi_a32_load_relaxed(&shard->slots_used); i <= slot; i++) {
            npi_worker_init(&shard->workers[i], shard, i);
        }
        npi_a32_store_release(&shard->slots_used, slot + 1);
    }
    char *stack = stack_of(shard, worker->index);
    size_t stack_bytes = shard->stack_stride_bytes - npi_pages_size();
    int error = npi_pages_commit(stack, stack_bytes);
    if (error != 0) {
        return error;
    }
    char name[32];
    (void)snprintf(name, sizeof name, "%s/n%u/w%03u", shard->pool->name, shard->index,
                   worker->index);
    name[15] = '\0';
    npi_a32 *word = &shard->gate.sleepers[worker->index].word;
    npi_a32_store_relaxed(word, NPI_SLEEPER_AWAKE);
    error = npi_thread_start(&worker->thread, stack, stack_bytes, name, npi_worker_main, worker);
    if (error != 0) {
        npi_a32_store_release(word, NPI_SLEEPER_FREE);
        return error;
    }
    worker->joinable = true;
    return 0;
}

/* A permit and a thread are reserved: somebody has to use them. */
static bool provide(struct npi_control *control)
{
    struct npi_shard *shard = control->shard;
    uint32_t sleeper = npi_gate_pop(&shard->gate, NPI_SLEEPER_WOKEN);
    if (sleeper != NPI_GATE_NOBODY) { /* one went to sleep meanwhile */
        npi_shard_discount_thread(shard);
        NPI_PROBE3(wake, shard->pool, shard->index, sleeper);
        npi_gate_rouse(&shard->gate, sleeper);
        return true;
    }
    int error = start_worker(control);
    if (error == 0) {
        control->retry_step_ns = 0;
        return true;
    }
    npi_shard_discount_thread(shard);
    npi_gate_leave(&shard->gate, true);
    if (control->retry_step_ns == 0) {
        npi_pool_log(shard->pool, NUMAPOOL_LOG_WARNING,
                     "shard %u: no further worker could be started (%s); %u run; trying again",
                     /* NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number */
                     shard->index, strerror(-error), npi_a32_load_relaxed(&shard->threads));
    }
    uint64_t step = control->retry_step_ns == 0 ? RETRY_NS_MIN : control->retry_step_ns * 2;
    control->retry_step_ns = step < RETRY_NS_MAX ? step : RETRY_NS_MAX;
    control->retry_start_ns = npi_clock_now_ns() + control->retry_step_ns;
    return false;
}

static void start_wanted(struct npi_control *control)
{
    struct npi_shard *shard = control->shard;
    bool going = true;
    while (going && npi_a32_load_sc(&shard->starts_wanted) != 0) {
        (void)npi_a32_add_sc(&shard->starts_wanted, (uint32_t)-1);
        going = provide(control);
    }
    /* The chain of wakes starts one thread after the other; with a backlog start several at once. */
    uint64_t waiting = npi_shard_waiting(shard);
    for (unsigned i = 0; going && i < STARTS_AHEAD && i + 1 < waiting; i++) {
        if (control->retry_start_ns != 0 || !npi_gate_reserve(&shard->gate, false)) {
            break;
        }
        if (!npi_shard_count_thread(shard)) {
            npi_gate_leave(&shard->gate, true);
            npi_shard_look(shard, NPI_GATE_NOBODY);
            break;
        }
        going = provide(control);
    }
}

/* A permit for one beside the searchers. The worker law counts workers that run tasks: with nobody but
   searchers the limit may be as low as they are few. What the whole budget leaves is the bound then: all
   of them may find tasks in the end. */
static bool reserve_beside(struct npi_shard *shard)
{
    struct npi_gate *gate = &shard->gate;
    if (npi_gate_reserve(gate, false)) {
        return true;
    }
    if (npi_permits_searching(npi_gate_permits(gate)) == 0 || !npi_balancer_lend(shard)) {
        return false;
    }
    npi_gate_search(gate);
    return true;
}

/*
 * Nobody is woken while one worker searches, or is on its way after it was woken. One that the kernel
 * stopped there, or whose waker it stopped, would keep every task waiting; so would a submitter that
 * stopped before it could wake anybody. So when tasks wait and none was taken for a whole tick,
 * somebody is woken beside it.
 */
static void pass_searcher(struct npi_control *control)
{
    struct npi_shard *shard = control->shard;
    uint64_t taken = npi_shard_taken(shard), before = control->taken_before;
    bool waited = control->waited_before;
    control->taken_before = taken;
    control->waited_before = npi_shard_waiting(shard) != 0;
    if (!waited || !control->waited_before || taken != before || control->retry_start_ns != 0 ||
        !reserve_beside(shard)) {
        return;
    }
    uint32_t sleeper = npi_gate_pop(&shard->gate, NPI_SLEEPER_WOKEN);
    if (sleeper != NPI_GATE_NOBODY) {
        NPI_PROBE3(wake, shard->pool, shard->index, sleeper);
        npi_gate_rouse(&shard->gate, sleeper);
    } else if (npi_shard_count_thread(shard)) {
        (void)provide(control);
    } else {
        npi_gate_leave(&shard->gate, true);
    }
}

/*
 * The pool has as many threads as it may have, and those of other shards sleep: they end, so that
 * this shard can start its own. Their own time to end may be seconds away.
 */
static void call_threads(struct npi_shard *shard)
{
    struct numapool *pool = shard->pool;
    if (npi_a32_load_relaxed(&shard->threads_wanted) == 0) {
        return;
    }
    npi_a32_store_relaxed(&shard->threads_wanted, 0);
    uint64_t permits = npi_gate_permits(&shard->gate);
    uint32_t limit = npi_permits_limit(permits), active = npi_permits_active(permits);
    uint64_t waiting = npi_shard_waiting(shard);
    uint32_t wanted = limit > active ? limit - active : 0;
    if (wanted > waiting) {
        wanted = (uint32_t)waiting;
    }
    for (unsigned i = 0; i < pool->shard_count && wanted != 0; i++) {
        struct npi_shard *other = pool->shards[i];
        while (other != shard && wanted != 0 && npi_shard_cede_thread(other)) {
            uint32_t sleeper = npi_gate_pop(&other->gate, NPI_SLEEPER_DISMISSED);
            if (sleeper == NPI_GATE_NOBODY) {
                npi_shard_recount_thread(other);
                break;
            }
            npi_gate_rouse(&other->gate, sleeper);
            wanted--;
        }
    }
    npi_shard_look(shard, NPI_GATE_NOBODY);
}

static void retry_start(struct npi_control *control, uint64_t now_ns)
{
    if (control->retry_start_ns != 0 && now_ns >= control->retry_start_ns) {
        control->retry_start_ns = 0;
        npi_shard_look(control->shard, NPI_GATE_NOBODY);
    }
}

/* -------------------------------------------------------------------------- supervising */

/* Pins a thread to its shard's CPUs, or to all there are when none of those is allowed any more. */
static void pin(const struct npi_shard *shard, pid_t tid)
{
    if (npi_place_thread(tid, &shard->plan->cpus) != 0) {
        struct npi_cpuset any = {0};
        for (unsigned cpu = 0; cpu < shard->pool->plan->cpu_slots; cpu++) {
            (void)npi_cpuset_add(&any, cpu);
        }
        (void)npi_place_thread(tid, &any);
        npi_cpuset_fini(&any);
    }
}

/* CPUs' worth of work that a control group leaves of so many processors of a shard. */
static double granted(const struct npi_shard *shard, double cpus)
{
    const struct npi_plan *plan = shard->pool->plan;
    if (!shard->pool->follows_quota) {
        return cpus;
    }
    double limit = npi_cgroup_cpu_limit(NULL), all = 0.0;
    for (unsigned i = 0; i < plan->shard_count; i++) {
        all += plan->shards[i].cpu_count;
    }
    return limit > 0.0 && limit < all ? cpus * (limit / all) : cpus;
}

static void pin_workers(const struct npi_shard *shard)
{
    for (uint32_t i = 0; i < npi_a32_load_relaxed(&shard->slots_used); i++) {
        const struct npi_worker *worker = &shard->workers[i];
        uint32_t tid = npi_a32_load_relaxed(&worker->tid);
        if (tid != 0 && npi_worker_place(worker, (pid_t)tid) != 0) {
            pin(shard, (pid_t)tid);
        }
    }
}

/*
 * The kernel widens or narrows affinity behind our back (CPUs offline, a control group's set changed)
 * and does not always put it back. This thread's own mask is the witness for its shard; but a worker
 * on one CPU may have lost it, and got it back, while the others kept the set: those are pinned every
 * time, which costs the kernel a comparison. Where nothing is pinned this thread has the process's mask.
 */
static void supervise(struct npi_control *control, uint64_t now_ns)
{
    struct npi_shard *shard = control->shard;
    const struct npi_plan *plan = shard->pool->plan;
    if (!plan->live ||
        (control->supervised_ns != 0 && now_ns - control->supervised_ns < SUPERVISE_NS)) {
        return;
    }
    bool pins = plan->pinning != NUMAPOOL_PIN_NONE;
    control->supervised_ns = now_ns;
    struct npi_cpuset mask = {0};
    if (npi_place_thread_get(0, &mask) != 0) {
        return;
    }
    bool as_planned = !pins || npi_cpuset_equal(&mask, &shard->plan->cpus);
    if (!as_planned) {
        pin(shard, 0);
        npi_cpuset_fini(&mask);
        if (npi_place_thread_get(0, &mask) != 0) {
            return;
        }
    }
    bool lost = pins && !npi_cpuset_equal(&mask, &shard->plan->cpus);
    if (!as_planned || lost != control->pins_lost || plan->pinning == NUMAPOOL_PIN_CPU) {
        pin_workers(shard);
    }
    if (lost != control->pins_lost) {
        npi_pool_log(shard->pool, NUMAPOOL_LOG_WARNING,
                     lost ? "shard %u: some of its CPUs are not allowed any more; using the rest"
                          : "shard %u: all of its CPUs are allowed again",
                     shard->index);
        control->pins_lost = lost;
    }
    npi_cpuset_intersect(&mask, &shard->plan->cpus);
    size_t left = npi_cpuset_count(&mask);
    control->tick.cpus = granted(shard, left == 0 ? 1.0 : (double)left);
    npi_cpuset_fini(&mask);
}

/* ----------------------------------------------------------------------------- the loop */

static bool nothing_to_do(const struct npi_shard *shard)
{
    return npi_permits_active(npi_gate_permits(&shard->gate)) == 0 &&
           npi_a32_load_sc(&shard->starts_wanted) == 0 && npi_shard_quiet(shard) &&
           npi_a32_load_relaxed(&shard->blocked) == 0;
}

/* Returns when to come back, UINT64_MAX = when kicked. */
static uint64_t rest(struct npi_control *control, uint64_t now_ns)
{
    struct npi_shard *shard = control->shard;
    if (!nothing_to_do(shard)) {
        control->idle_since_ns = 0;
        control->trimmed = false;
        return now_ns + shard->pool->params.tick_ns;
    }
    if (control->idle_since_ns == 0) {
        control->idle_since_ns = now_ns;
    }
    uint64_t idle_ns = now_ns - control->idle_since_ns;
    uint64_t exit_ns = shard->pool->config.idle_exit_ns;
    uint64_t quiet_ns =
        exit_ns > QUIET_NS_MAX - QUIET_AFTER_EXIT_NS ? QUIET_NS_MAX : exit_ns + QUIET_AFTER_EXIT_NS;
    if (idle_ns < quiet_ns) {
        return now_ns + (idle_ns < SECOND ? shard->pool->params.tick_ns : QUIET_TICK_NS);
    }
    if (!control->trimmed) {
        npi_space_trim(shard->pool->space);
        npi_usage_close(shard);
        control->next_slot = 0;
        control->trimmed = true;
    }
    return UINT64_MAX;
}

static void *control_main(void *arg)
{
    struct npi_control *control = arg;
    struct npi_shard *shard = control->shard;
    if (shard->pool->plan->pinning != NUMAPOOL_PIN_NONE) {
        (void)npi_place_thread(0, &shard->plan->cpus);
    }
    if (shard->pool->slices_granted) { /* it is short, and a thousand workers may be in its way */
        (void)npi_thread_slice(NPI_SLICE_NS);
    }
    uint64_t now_ns = npi_clock_now_ns();
    npi_tick_resume(&control->tick, shard, now_ns);
    uint64_t next_tick_ns = now_ns + shard->pool->params.tick_ns;
    while (npi_a32_load_acquire(&control->stop) == 0) {
        reap_ended(control);
        if (npi_a32_load_relaxed(&shard->threads_wanted) != 0) {
            npi_shard_look(shard, NPI_GATE_NOBODY); /* somewhere one was joined */
        }
        start_wanted(control);
        now_ns = npi_clock_now_ns();
        retry_start(control, now_ns);
        if (now_ns >= next_tick_ns) {
            supervise(control, now_ns);
            call_threads(shard);
            pass_searcher(control);
            npi_shard_close_lanes(shard);
            npi_tick(&control->tick, shard, now_ns);
            (void)npi_watchdog_look(&control->watchdog, shard, now_ns);
            now_ns = npi_clock_now_ns();
            next_tick_ns = rest(control, now_ns);
            npi_stats_page_publish(&control->publisher, shard, control->tick.cpus, now_ns);
        }
        uint64_t wake_ns = next_tick_ns;
        if (control->retry_start_ns != 0 && control->retry_start_ns < wake_ns) {
            wake_ns = control->retry_start_ns;
        }
        if (control->reap_step_ns != 0 && control->reap_step_ns <= REAP_NS_MAX &&
            now_ns + control->reap_step_ns < wake_ns) {
            wake_ns = now_ns + control->reap_step_ns;
        }
        bool idle = wake_ns == UINT64_MAX;
        if (idle) {
            npi_a32_store_sc(&shard->control_idle, 1); /* @control-idle */
            idle = nothing_to_do(shard);
            if (idle) { /* whoever takes a task now wakes us, so nothing is missed */
                npi_stats_page_publish_last(&control->publisher, shard, control->tick.cpus);
            }
        }
        if (wake_ns != UINT64_MAX || idle) {
            (void)npi_park_wait(&shard->control_word, 0, wake_ns);
        }
        bool kicked = npi_a32_swap_sc(&shard->control_word, 0) != 0;
        if (wake_ns == UINT64_MAX && (kicked || !idle)) {
            npi_a32_store_sc(&shard->control_idle, 0);
            now_ns = npi_clock_now_ns();
            control->supervised_ns = 0; /* the world may have changed meanwhile */
            control->idle_since_ns = 0;
            npi_tick_resume(&control->tick, shard, now_ns);
            next_tick_ns = now_ns + shard->pool->params.tick_ns;
        }
    }
    npi_usage_close(shard);
    return NULL;
}

int npi_control_start(struct npi_shard *shard)
{
    struct npi_control *control = shard->control;
    control->shard = shard;
    npi_tick_init(&control->tick, shard);
    npi_tick_publish_first(&control->tick, shard);
    npi_stats_page_publish(&control->publisher, shard, control->tick.cpus, npi_clock_now_ns());

    /* The kept workers first: a pool without a worker in each shard does not start at all. */
    for (uint32_t i = 0; i < shard->workers_kept; i++) {
        if (!npi_gate_reserve(&shard->gate, false)) {
            break;
        }
        if (!npi_shard_count_thread(shard)) {
            npi_gate_leave(&shard->gate, true);
            break;
        }
        int error = start_worker(control);
        if (error != 0) {
            npi_shard_discount_thread(shard);
            npi_gate_leave(&shard->gate, true);
            if (i == 0) {
                return error;
            }
            break;
        }
    }
    char name[32];
    (void)snprintf(name, sizeof name, "%s/n%u/ctl", shard->pool->name, shard->index);
    name[15] = '\0';
    char *stack = stack_of(shard, shard->worker_slots);
    size_t stack_bytes = shard->stack_stride_bytes - npi_pages_size();
    int error = npi_pages_commit(stack, stack_bytes);
    if (error == 0) {
        error = npi_thread_start(&control->thread, stack, stack_bytes, name, control_main, control);
    }
    control->started = error == 0;
    return error;
}

void npi_control_stop(struct npi_shard *shard)
{
    struct npi_control *control = shard->control;
    npi_a32_store_release(&control->stop, 1);
    if (control->started) {
        npi_shard_kick(shard);
        npi_park_wake(&shard->control_word, 1);
        (void)pthread_join(control->thread, NULL);
        control->started = false;
    }
}

/* Until a worker's thread has ended but for a moment; who kicks control now wakes us. */
static void await_end(struct npi_control *control, uint32_t slot)
{
    struct npi_shard *shard = control->shard;
    for (;;) {
        (void)npi_a32_swap_sc(&shard->control_word, 0);
        uint32_t word = npi_a32_load_acquire(&shard->gate.sleepers[slot].word);
        if (word == NPI_SLEEPER_LEFT || word == NPI_SLEEPER_FREE) {
            return;
        }
        uint64_t look_ns = npi_watchdog_look(&control->watchdog, shard, npi_clock_now_ns());
        (void)npi_park_wait(&shard->control_word, 0, look_ns);
    }
}

void npi_control_join_workers(struct npi_shard *shard)
{
    for (uint32_t i = 0; i < npi_a32_load_relaxed(&shard->slots_used); i++) {
        /* Whoever sleeps now is dismissed; whoever goes to sleep later sees the phase. Not woken:
           it would go to sleep again before it ends, and could be popped and woken for ever. */
        uint32_t sleeper;
        while ((sleeper = npi_gate_pop(&shard->gate, NPI_SLEEPER_DISMISSED)) != NPI_GATE_NOBODY) {
            npi_gate_rouse(&shard->gate, sleeper); /* nobody counts threads any more */
        }
        if (shard->workers[i].joinable) {
            await_end(shard->control, i);
            (void)pthread_join(shard->workers[i].thread, NULL);
            shard->workers[i].joinable = false;
        }
        npi_thread_usage_close(&shard->workers[i].usage_fd);
    }
}
