/* CPUs in virtual time; see plant.h. */
#include "sim/plant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double slice_ns = 3e6;                 /* a usual scheduler slice under load */
static const uint64_t foreign_period_ns = 10000000; /* other programs wake this often per CPU */

/* CPUs as threads see them, and what each is worth: half a CPU is one of half the speed. */
static uint32_t whole_cpus(const struct sim_plant *plant)
{
    return plant->cpus > 1.0 ? (uint32_t)ceil(plant->cpus) : 1;
}

static double cpu_worth(const struct sim_plant *plant)
{
    return plant->cpus / whole_cpus(plant);
}

static double cpu_speed(const struct sim_plant *plant)
{
    return plant->speed * cpu_worth(plant);
}

/* CPU time that one of the other programs' threads wants each time it wakes. */
static double foreign_burst_ns(const struct sim_plant *plant)
{
    return plant->foreign_cpus / plant->foreign_threads * (double)foreign_period_ns * plant->speed;
}

void sim_plant_init(struct sim_plant *plant, uint32_t shard, double cpus, double speed,
                    double foreign_cpus, bool sharing, struct sim_event_heap *heap)
{
    memset(plant, 0, sizeof *plant);
    plant->shard = shard;
    plant->cpus = plant->cpus_seen = cpus;
    plant->speed = speed > 0.0 ? speed : 1.0;
    plant->foreign_cpus = foreign_cpus;
    plant->sharing = sharing;
    if (!sharing && foreign_cpus > 0.0)
        sim_plant_others(plant, foreign_cpus, 0, heap);
}

void sim_plant_others(struct sim_plant *plant, double foreign_cpus, uint64_t now_ns,
                      struct sim_event_heap *heap)
{
    plant->foreign_cpus = foreign_cpus;
    if (plant->foreign_threads > 0)
        return; /* they take so much from the next time they wake */
    uint32_t threads = whole_cpus(plant);
    plant->foreign_threads = threads;
    plant->foreign = sim_zeroed(threads, sizeof *plant->foreign);
    plant->foreign_due_ns = sim_zeroed(threads, sizeof *plant->foreign_due_ns);
    for (uint32_t k = 0; k < threads; k++) {
        plant->foreign_due_ns[k] = now_ns + foreign_period_ns * k / threads + 1;
        sim_event_push(heap, plant->foreign_due_ns[k], SIM_EVENT_FOREIGN, plant->shard, k);
    }
}

void sim_plant_fini(struct sim_plant *plant)
{
    free(plant->queue);
    free(plant->foreign);
    free(plant->foreign_due_ns);
    free(plant->shared);
}

/* CPUs that processor sharing has for us. */
static double shared_cpus(const struct sim_plant *plant)
{
    return fmax(plant->cpus - plant->foreign_cpus, 0.01);
}

static double shared_rate(const struct sim_plant *plant)
{
    double cpus = shared_cpus(plant);
    return plant->speed * (plant->runnable <= cpus ? 1.0 : cpus / plant->runnable);
}

void sim_plant_advance(struct sim_plant *plant, uint64_t now_ns)
{
    double passed = (double)(now_ns - plant->at_ns);
    if (now_ns <= plant->at_ns)
        return;
    struct sim_meters *meters = &plant->meters;
    double used = plant->running * cpu_worth(plant);
    double others = plant->foreign_running * cpu_worth(plant);
    if (plant->sharing) {
        used = fmin(plant->runnable, shared_cpus(plant));
        others = plant->foreign_cpus;
        plant->virtual_ns += passed * shared_rate(plant);
        meters->delay_ns += passed * (plant->runnable - used);
    }
    meters->busy_ns += passed * plant->busy;
    meters->cpu_ns += passed * used;
    meters->runnable_ns += passed * plant->runnable;
    meters->idle_ns += passed * fmax(0.0, plant->cpus_seen - used - others);
    plant->at_ns = now_ns;
}

struct sim_meters sim_plant_take(struct sim_plant *plant, uint64_t now_ns)
{
    sim_plant_advance(plant, now_ns);
    struct sim_meters taken = plant->meters;
    memset(&plant->meters, 0, sizeof plant->meters);
    return taken;
}

/* ---- round robin ---- */

static void enqueue(struct sim_plant *plant, uint32_t thread, bool first)
{
    if (plant->queue_count == plant->queue_space) {
        size_t space = plant->queue_space;
        plant->queue =
            sim_grow(plant->queue, plant->queue_count, &plant->queue_space, sizeof *plant->queue);
        /* The ring wrapped at the old size: move its head to the new end. */
        size_t head = space - plant->queue_first;
        if (space > 0 && plant->queue_first > 0) {
            memmove(plant->queue + plant->queue_space - head, plant->queue + plant->queue_first,
                    head * sizeof *plant->queue);
            plant->queue_first = plant->queue_space - head;
        }
    }
    if (first) {
        plant->queue_first = (plant->queue_first + plant->queue_space - 1) % plant->queue_space;
        plant->queue[plant->queue_first] = thread;
    } else {
        plant->queue[(plant->queue_first + plant->queue_count) % plant->queue_space] = thread;
    }
    plant->queue_count++;
}

static void fill(struct sim_plant *plant, struct sim_work *work, uint64_t now_ns,
                 struct sim_event_heap *heap)
{
    while (plant->queue_count > 0 && plant->running + plant->foreign_running < whole_cpus(plant)) {
        uint32_t thread = plant->queue[plant->queue_first];
        plant->queue_first = (plant->queue_first + 1) % plant->queue_space;
        plant->queue_count--;
        bool foreign = (thread & SIM_FOREIGN) != 0;
        struct sim_work *its = foreign ? &plant->foreign[thread & ~SIM_FOREIGN] : &work[thread];
        if (foreign) {
            plant->foreign_running++;
        } else {
            plant->running++;
            plant->meters.delay_ns += (double)(now_ns - its->waiting_ns);
        }
        double wall = its->left_ns / cpu_speed(plant);
        if (wall > slice_ns + 1.0)
            wall = slice_ns;
        its->left_ns -= wall * cpu_speed(plant);
        uint64_t length = (uint64_t)wall;
        sim_event_push(heap, now_ns + (length ? length : 1), SIM_EVENT_SLICE, plant->shard, thread);
    }
}

uint32_t sim_plant_slice(struct sim_plant *plant, struct sim_work *work, uint32_t thread,
                         uint64_t now_ns, struct sim_event_heap *heap)
{
    sim_plant_advance(plant, now_ns);
    bool foreign = (thread & SIM_FOREIGN) != 0;
    uint32_t k = thread & ~SIM_FOREIGN;
    struct sim_work *its = foreign ? &plant->foreign[k] : &work[thread];
    if (foreign)
        plant->foreign_running--;
    else
        plant->running--;
    uint32_t done = SIM_NONE;
    if (its->left_ns > 1.0) {
        its->waiting_ns = now_ns;
        enqueue(plant, thread, false);
    } else if (foreign) {
        plant->foreign_due_ns[k] += foreign_period_ns;
        if (plant->foreign_due_ns[k] > now_ns) {
            sim_event_push(heap, plant->foreign_due_ns[k], SIM_EVENT_FOREIGN, plant->shard, k);
        } else { /* never slept: waits its turn like everybody */
            its->left_ns = foreign_burst_ns(plant);
            enqueue(plant, thread, false);
        }
    } else {
        plant->runnable--;
        done = thread;
    }
    fill(plant, work, now_ns, heap);
    return done;
}

void sim_plant_foreign(struct sim_plant *plant, struct sim_work *work, uint32_t thread,
                       uint64_t now_ns, struct sim_event_heap *heap)
{
    sim_plant_advance(plant, now_ns);
    plant->foreign[thread].left_ns = foreign_burst_ns(plant);
    /* A thread that slept goes ahead of those that used their slices, as fair schedulers do it. */
    enqueue(plant, thread | SIM_FOREIGN, true);
    fill(plant, work, now_ns, heap);
}

/* ---- processor sharing ---- */

static bool sooner(const struct sim_shared *left, const struct sim_shared *right)
{
    return left->finish < right->finish ||
           (left->finish == right->finish && left->order < right->order);
}

static void schedule_shared(struct sim_plant *plant, uint64_t now_ns, struct sim_event_heap *heap)
{
    plant->version++;
    if (plant->shared_count == 0)
        return;
    double wait = (plant->shared[0].finish - plant->virtual_ns) / shared_rate(plant);
    sim_event_push(heap, now_ns + (wait > 0.0 ? (uint64_t)ceil(wait) : 0), SIM_EVENT_SHARED,
                   plant->shard, plant->version);
}

static void push_shared(struct sim_plant *plant, double work_ns, uint32_t thread)
{
    plant->shared =
        sim_grow(plant->shared, plant->shared_count, &plant->shared_space, sizeof *plant->shared);
    struct sim_shared item = {plant->virtual_ns + work_ns, plant->shared_order++, thread};
    size_t at = plant->shared_count++;
    while (at > 0 && sooner(&item, &plant->shared[(at - 1) / 2])) {
        plant->shared[at] = plant->shared[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    plant->shared[at] = item;
}

static uint32_t pop_shared(struct sim_plant *plant)
{
    uint32_t thread = plant->shared[0].thread;
    struct sim_shared last = plant->shared[--plant->shared_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= plant->shared_count)
            break;
        if (child + 1 < plant->shared_count &&
            sooner(&plant->shared[child + 1], &plant->shared[child]))
            child++;
        if (!sooner(&plant->shared[child], &last))
            break;
        plant->shared[at] = plant->shared[child];
        at = child;
    }
    plant->shared[at] = last;
    return thread;
}

uint32_t sim_plant_shared(struct sim_plant *plant, uint32_t version, uint64_t now_ns,
                          struct sim_event_heap *heap)
{
    if (version != plant->version)
        return SIM_NONE;
    sim_plant_advance(plant, now_ns);
    uint32_t done = pop_shared(plant);
    plant->runnable--;
    schedule_shared(plant, now_ns, heap);
    return done;
}

/* ---- both ---- */

void sim_plant_run(struct sim_plant *plant, struct sim_work *work, uint32_t thread, uint64_t now_ns,
                   struct sim_event_heap *heap)
{
    sim_plant_advance(plant, now_ns);
    plant->runnable++;
    if (plant->sharing) {
        push_shared(plant, work[thread].left_ns, thread);
        schedule_shared(plant, now_ns, heap);
        return;
    }
    work[thread].waiting_ns = now_ns;
    enqueue(plant, thread, false);
    fill(plant, work, now_ns, heap);
}

void sim_plant_changed(struct sim_plant *plant, struct sim_work *work, uint64_t now_ns,
                       struct sim_event_heap *heap)
{
    if (plant->sharing)
        schedule_shared(plant, now_ns, heap);
    else
        fill(plant, work, now_ns, heap);
}
