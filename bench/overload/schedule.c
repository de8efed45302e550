/*
 * The generator's thread. It must cost next to nothing, since on a small machine its CPU time is
 * the contender's loss: no allocation, no lock, one clock reading per batch.
 */
#include "schedule.h"

#include "clock.h"
#include "contender.h"
#include "run.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PERIOD_NS UINT64_C(1000000)

/* After the end of the window a late generator may still hand over what is due for this long; what
   is left then was never sent. */
#define GRACE_NS UINT64_C(100000000)

void schedule_split(uint64_t *rates, unsigned nodes, unsigned per_node, uint64_t rate, double skew)
{
    uint64_t hot = skew < 0 || nodes == 1 ? rate / nodes : (uint64_t)((double)rate * skew);
    uint64_t left = rate;

    if (hot > rate)
        hot = rate;
    for (unsigned node = nodes; node-- > 0;) {
        uint64_t of_node = node == 0 ? left : (rate - hot) / (nodes - 1);
        left -= of_node;
        for (unsigned i = per_node; i-- > 0;) {
            uint64_t part =
                i == 0 ? of_node - of_node / per_node * (per_node - 1) : of_node / per_node;
            rates[node * per_node + i] = part;
        }
    }
}

/* A generator stands for the network, which does not queue behind workers for a CPU: with real-time
   priority it always runs, and nothing slows the load down. Where that is not granted, or not
   wanted, a short scheduler slice at least lets it run soon after it wakes, as far as fairness
   allows; a kernel that does not know that ignores it. Returns whether it is real-time. */
static bool ask_for_cpu(bool usual_priority)
{
    struct sched_param param = {.sched_priority = 1};
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes;

    /* Threads that a contender starts from here must not inherit it. */
    if (!usual_priority && sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0)
        return true;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    attributes.policy = SCHED_OTHER;
    attributes.runtime = 100000;
#ifdef SYS_sched_setattr
    syscall(SYS_sched_setattr, 0, &attributes, 0);
#endif
    return false;
}

static uint64_t due_at(const struct generator *g, uint64_t now_ns)
{
    if (now_ns < g->start_ns)
        return 0;
    uint64_t due = schedule_count(g->rate, now_ns - g->start_ns) + 1;
    return due < g->count ? due : g->count;
}

static void publish(_Atomic uint64_t *word, uint64_t value)
{
    /* Relaxed: a progress figure; exact reading happens after the thread was joined. */
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Hands over requests [next, due) and returns the first that was not, which is before `due` only
   when the contender has stopped. */
static uint64_t hand_over_due(struct generator *g, uint64_t next, uint64_t due, uint64_t *now_ns,
                              struct handed *total)
{
    while (next < due) {
        unsigned count = due - next < SCHEDULE_BATCH ? (unsigned)(due - next) : SCHEDULE_BATCH;
        struct handed handed = {0, 0};
        uint64_t before_ns = *now_ns;

        histogram_add(&g->lateness, before_ns - schedule_intended_ns(g, next));
        g->run->contender->hand_over(g, next, count, &handed);
        *now_ns = clock_now_ns();
        if (handed.refused == SCHEDULE_BATCH)
            histogram_add(&g->refusal, *now_ns - before_ns);
        next += handed.accepted + handed.refused;
        total->accepted += handed.accepted;
        total->refused += handed.refused;
        if (handed.accepted + handed.refused < count)
            break;
    }
    publish(&g->handed_over, total->accepted + total->refused);
    publish(&g->refused, total->refused);
    return next;
}

void *schedule_thread(void *argument)
{
    struct generator *g = argument;
    uint64_t end_ns = g->start_ns + g->run->options->window_ns;
    uint64_t next = 0;
    struct handed total = {0, 0};

    pthread_setname_np(pthread_self(), "generator");
    if (g->pin_os_index >= 0)
        host_pin_to_node(g->pin_os_index);
    g->realtime = ask_for_cpu(g->run->options->usual_priority);
    clock_sleep_until_ns(g->start_ns);
    uint64_t cpu_before_ns = clock_thread_cpu_ns();

    while (next < g->count) {
        uint64_t now_ns = clock_now_ns();
        uint64_t due = due_at(g, now_ns);

        if (next < due) {
            /* Due requests are counted again after every period's worth, so that a generator that
               is behind notices the end of the window. */
            uint64_t most = g->rate / 1000 + SCHEDULE_BATCH;
            if (due - next > most)
                due = next + most;
            next = hand_over_due(g, next, due, &now_ns, &total);
            if (next < due || now_ns > end_ns + GRACE_NS)
                break;
            continue;
        }
        uint64_t wake_ns = now_ns - (now_ns - g->start_ns) % PERIOD_NS + PERIOD_NS;
        uint64_t next_ns = schedule_intended_ns(g, next);
        clock_sleep_until_ns(next_ns > wake_ns ? next_ns : wake_ns);
    }
    g->cpu_ns = clock_thread_cpu_ns() - cpu_before_ns;
    return NULL;
}
