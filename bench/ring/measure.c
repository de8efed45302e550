/* Driving the contenders; see measure.h. */
#include "measure.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 16
#define FEW 8

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct cost now(void)
{
    return (struct cost){.wall_ns = clock_ns(CLOCK_MONOTONIC),
                         .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
}

static struct cost since(const struct cost *begin, const struct cost *end)
{
    return (struct cost){.wall_ns = end->wall_ns - begin->wall_ns,
                         .cpu_ns = end->cpu_ns - begin->cpu_ns};
}

static _Noreturn void fail(const struct contender *contender, const char *what)
{
    fprintf(stderr, "numapool-ring-compare: %s: %s\n", contender->name, what);
    exit(EXIT_FAILURE);
}

static void *create(const struct contender *contender, uint64_t capacity)
{
    void *queue = contender->create(capacity);
    if (queue == NULL) {
        fail(contender, "no memory");
    }
    return queue;
}

/* The second word proves the first. */
static struct npi_item task(uint64_t number)
{
    /* The third word is the shard's to raise, the last bit of the fourth means more words. */
    return (struct npi_item){.hot = {number, number * number, number, ~number >> 1}};
}

static void check(const struct contender *contender, const struct npi_item *item)
{
    if (item->hot[1] != item->hot[0] * item->hot[0] || item->hot[3] != ~item->hot[0] >> 1) {
        fail(contender, "a task came out damaged");
    }
}

/* ------------------------------------------------------------------------------- traffic */

struct traffic {
    const struct contender *contender;
    void *queue;
    unsigned producers;
    uint64_t each, total;
    NPI_APART npi_a32 waiting; /* threads that are not ready yet */
    struct cost begin,
        end; /* written by the first thread, and by the consumer that saw the end first */
    NPI_APART npi_a64 taken;
    npi_a64 sum, squares;
    npi_a32 ended;
};

struct part {
    struct traffic *traffic;
    unsigned index;
    pthread_t thread;
};

static void produce(struct traffic *traffic, unsigned producer)
{
    uint64_t first = producer * traffic->each;
    for (uint64_t number = first; number < first + traffic->each;) {
        struct npi_item item = task(number);
        if (traffic->contender->push(traffic->queue, &item)) {
            number++;
        } else {
            sched_yield();
        }
    }
}

static void consume(struct traffic *traffic)
{
    uint64_t taken = 0, sum = 0, squares = 0;
    for (;;) {
        struct npi_item item;
        if (traffic->contender->pop(traffic->queue, &item)) {
            check(traffic->contender, &item);
            taken++;
            sum += item.hot[0];
            squares += item.hot[1];
            continue;
        }
        /* Counted only when there is nothing to do, so that counting is not what is measured. */
        if (npi_a64_add_relaxed(&traffic->taken, taken) + taken >= traffic->total) {
            break;
        }
        taken = 0;
        sched_yield();
    }
    if (npi_a32_swap_acq_rel(&traffic->ended, 1) == 0) {
        traffic->end = now();
    }
    (void)npi_a64_add_relaxed(&traffic->sum, sum);
    (void)npi_a64_add_relaxed(&traffic->squares, squares);
}

static void *take_part(void *arg)
{
    struct part *part = arg;
    struct traffic *traffic = part->traffic;
    (void)npi_a32_add_sc(&traffic->waiting, (uint32_t)-1);
    while (npi_a32_load_sc(&traffic->waiting) != 0) {
        sched_yield();
    }
    if (part->index == 0) {
        traffic->begin = now();
    }
    if (part->index < traffic->producers) {
        produce(traffic, part->index);
    } else {
        consume(traffic);
    }
    return NULL;
}

struct cost measure_traffic(const struct contender *contender, uint64_t capacity,
                            unsigned producers, unsigned consumers, uint64_t tasks)
{
    static struct traffic traffic;
    struct part parts[THREADS_MAX];
    unsigned count = producers + consumers;
    traffic = (struct traffic){.contender = contender,
                               .queue = create(contender, capacity),
                               .producers = producers,
                               .each = tasks / producers,
                               .total = tasks / producers * producers};
    npi_a32_init(&traffic.waiting, count);
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct part){.traffic = &traffic, .index = i};
        if (pthread_create(&parts[i].thread, NULL, take_part, &parts[i]) != 0) {
            fail(contender, "no thread");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(parts[i].thread, NULL);
    }
    uint64_t sum = 0, squares = 0;
    for (uint64_t number = 0; number < traffic.total; number++) {
        sum += number;
        squares += number * number;
    }
    if (npi_a64_load_relaxed(&traffic.taken) != traffic.total ||
        npi_a64_load_relaxed(&traffic.sum) != sum ||
        npi_a64_load_relaxed(&traffic.squares) != squares) {
        fail(contender, "tasks were lost, repeated or invented");
    }
    contender->destroy(traffic.queue);
    return since(&traffic.begin, &traffic.end);
}

/* --------------------------------------------------------------------------------- turns */

__attribute__((noinline)) static bool step_push(const struct contender *contender, void *queue,
                                                const struct npi_item *item)
{
    return contender->push(queue, item);
}

__attribute__((noinline)) static bool step_pop(const struct contender *contender, void *queue,
                                               struct npi_item *item)
{
    return contender->pop(queue, item);
}

/* Push and pop by turns; returns how many turns went well. */
static uint64_t turns_done(const struct contender *contender, void *queue, uint64_t turns)
{
    for (uint64_t number = 0; number < turns; number++) {
        struct npi_item item = task(number);
        if (!step_push(contender, queue, &item) || !step_pop(contender, queue, &item)) {
            return number;
        }
        check(contender, &item);
        if (item.hot[0] != number) {
            fail(contender, "another task came out");
        }
    }
    return turns;
}

struct cost measure_turns(const struct contender *contender, uint64_t capacity, bool stopped,
                          uint64_t turns)
{
    void *queue = create(contender, capacity);
    uint64_t ticket;
    if (stopped) {
        contender->stop(queue, &ticket);
    }
    struct cost begin = now();
    uint64_t done = turns_done(contender, queue, turns);
    struct cost end = now(), cost = since(&begin, &end);
    contender->destroy(queue);
    cost.refused = done != turns;
    return cost;
}

/* ------------------------------------------------------------------------------- stopped */

struct stopped_facts measure_stopped(const struct contender *contender, uint64_t capacity,
                                     uint64_t turns_max)
{
    const uint64_t own = 1000000;
    struct stopped_facts facts = {0};
    struct npi_item item;
    uint64_t ticket;
    void *queue = create(contender, capacity);
    for (uint64_t number = 0; number < FEW; number++) {
        item = task(number);
        if (!contender->push(queue, &item)) {
            fail(contender, "an empty queue refused a task");
        }
    }
    contender->stop(queue, &ticket);
    while (contender->pop(queue, &item)) {
        check(contender, &item);
        facts.before++;
    }
    for (uint64_t number = 0; number < FEW; number++) {
        item = task(number);
        facts.behind += contender->push(queue, &item) && contender->pop(queue, &item);
    }
    facts.turns =
        facts.behind == FEW ? FEW + turns_done(contender, queue, turns_max - FEW) : facts.behind;
    while (contender->push(queue, &item)) {
        facts.room++;
    }
    while (contender->pop(queue, &item)) {
    }
    item = task(own);
    contender->resume(queue, ticket, &item);
    unsigned seen = 0;
    while (contender->pop(queue, &item)) {
        seen += item.hot[0] == own;
    }
    if (seen != 1) {
        fail(contender, "the task of the stopped producer did not come out once");
    }
    contender->destroy(queue);
    return facts;
}

/* ---------------------------------------------------------------------------------- sums */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
