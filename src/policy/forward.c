/* Placement of overflow and the right to steal; see forward.h for the order in which submit asks.
 */
#include "policy/forward.h"

size_t npi_forward_order(const uint32_t *distance, size_t count, size_t home, uint16_t *ids,
                         struct npi_forward_class *classes)
{
    size_t used = 0;
    for (size_t step = 1; step < count; step++) {
        size_t shard = (home + step) % count;
        size_t at = used++;
        for (; at > 0 && distance[ids[at - 1]] > distance[shard]; at--)
            ids[at] = ids[at - 1];
        ids[at] = (uint16_t)shard;
    }
    size_t class_count = 0;
    for (size_t i = 0; i < used; i++) {
        if (i == 0 || distance[ids[i]] != distance[ids[i - 1]]) {
            classes[class_count].distance = distance[ids[i]];
            classes[class_count].first = (uint16_t)i;
            classes[class_count].count = 0;
            class_count++;
        }
        classes[class_count - 1].count++;
    }
    return class_count;
}

size_t npi_forward_draw(size_t count, uint32_t random, size_t pick[2])
{
    if (count <= 2) {
        /* Both are looked at, but which one comes first, and so wins a tie, must not always be the
         * same. */
        size_t first = count == 2 ? (random & 1u) : 0;
        pick[0] = first;
        pick[1] = 1 - first;
        return count;
    }
    /* One 32-bit word split in halves is enough for two draws among at most 1024. */
    pick[0] = ((random >> 16) * count) >> 16;
    pick[1] = ((random & 0xffffu) * (count - 1)) >> 16;
    if (pick[1] >= pick[0])
        pick[1]++;
    return 2;
}

double npi_forward_wait_ns(uint32_t queued_tasks, uint32_t busy_workers, uint32_t limit_workers,
                           double wait_ns_per_task)
{
    if (busy_workers < limit_workers)
        return 0.0;
    return (double)queued_tasks * wait_ns_per_task;
}

double npi_forward_penalty_ns(const struct npi_policy_params *params, double task_cpu_ns,
                              uint32_t distance, enum npi_affinity affinity)
{
    if (affinity == NPI_AFFINITY_STRICT)
        return (double)NPI_NEVER_NS;
    double farther = 0.0;
    if (distance > NPI_DISTANCE_LOCAL)
        farther = (double)(distance - NPI_DISTANCE_LOCAL) / NPI_DISTANCE_LOCAL;
    double penalty =
        task_cpu_ns * params->memory_bound_share * farther + (double)params->move_cost_ns;
    if (affinity == NPI_AFFINITY_DATA)
        penalty *= (double)params->data_penalty_factor;
    return penalty;
}

/* a/b < c/d without division; 0 CPUs count as very few. */
static bool less_per_cpu(uint32_t left, float left_cpus, uint32_t right, float right_cpus)
{
    const float least = 0.01f;
    if (left_cpus < least)
        left_cpus = least;
    if (right_cpus < least)
        right_cpus = least;
    return (float)left * right_cpus < (float)right * left_cpus;
}

int npi_forward_idle(const struct npi_policy_params *params, double home_wait_ns, double penalty_ns,
                     const struct npi_forward_target *targets, size_t count)
{
    int best = -1;
    if (!(home_wait_ns > penalty_ns + (double)params->move_gain_ns_min))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct npi_forward_target *target = &targets[i];
        if (!target->cpu_free || target->queued_tasks > 0 || target->capacity_tasks == 0 ||
            target->busy_workers >= target->limit_workers)
            continue;
        if (best < 0 || less_per_cpu(target->busy_workers, target->cpus, targets[best].busy_workers,
                                     targets[best].cpus))
            best = (int)i;
    }
    return best;
}

/* Largest count that stays strictly under permille/1000 of capacity, plus one: "fewer than" this
 * fits. */
static uint32_t bound_of(uint32_t capacity_tasks, uint32_t permille)
{
    return (uint32_t)(((uint64_t)capacity_tasks * permille + 999) / 1000);
}

bool npi_forward_has_room(const struct npi_policy_params *params,
                          const struct npi_forward_target *target)
{
    return target->queued_tasks <
               bound_of(target->capacity_tasks, params->overflow_fill_permille) &&
           target->guest_tasks < bound_of(target->capacity_tasks, params->guest_permille);
}

bool npi_forward_may_steal(const struct npi_policy_params *params,
                           const struct npi_steal_view *view)
{
    if (view->queued_tasks == 0 || view->busy_workers < view->limit_workers ||
        !view->thief_cpu_free || view->affinity == NPI_AFFINITY_STRICT)
        return false;
    double waits = npi_forward_wait_ns(view->queued_tasks, view->busy_workers, view->limit_workers,
                                       view->wait_ns_per_task);
    if (waits < (double)view->head_age_ns)
        waits = (double)view->head_age_ns;
    return waits >
           npi_forward_penalty_ns(params, view->task_cpu_ns, view->distance, view->affinity) +
               (double)params->move_gain_ns_min;
}

void npi_forward_gates(const struct npi_policy_params *params, const struct npi_forward_view *view,
                       struct npi_forward_gates *gates)
{
    uint32_t limit = view->limit_workers > 0 ? view->limit_workers : 1;
    gates->wait_ns_per_task = view->service_ns > 0.0 ? view->service_ns / (double)limit : 0.0;
    gates->guest_tasks_max = bound_of(view->capacity_tasks, params->guest_permille);
    gates->overflow_tasks_max = bound_of(view->capacity_tasks, params->overflow_fill_permille);
    gates->soft_tasks = UINT32_MAX;
    if (view->distance_min == 0 || !(gates->wait_ns_per_task > 0.0))
        return;
    double least =
        npi_forward_penalty_ns(params, view->task_cpu_ns, view->distance_min, NPI_AFFINITY_CALLER) +
        (double)params->move_gain_ns_min;
    double depth = least / gates->wait_ns_per_task;
    if (depth >= (double)(UINT32_MAX - 2))
        return;
    /* The division may round to the wrong side of the product that npi_forward_idle() compares. */
    uint32_t soft = (uint32_t)depth;
    while (soft > 0 && (double)(soft - 1) * gates->wait_ns_per_task > least)
        soft--;
    while (!((double)soft * gates->wait_ns_per_task > least))
        soft++;
    gates->soft_tasks = soft;
}
