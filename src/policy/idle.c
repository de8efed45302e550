/* Spin budgets; see idle.h. */
#include "policy/idle.h"

/* After this many misses in a row a worker skips 2^6 - 1 spins between two tries. */
static const uint16_t misses_max = 6;

static uint32_t spare_tasks(const struct npi_policy_params *params,
                            const struct npi_idle_view *view)
{
    if (view->tick_gap_ns >= params->stream_gap_ns || view->task_ns <= 0.0)
        return 0;
    double tasks = (double)params->wake_ns / view->task_ns;
    if (tasks < 2.0)
        return 0;
    return tasks < params->spare_tasks_max ? (uint32_t)tasks : params->spare_tasks_max;
}

void npi_idle_gates(const struct npi_policy_params *params, const struct npi_idle_view *view,
                    struct npi_idle_gates *gates)
{
    gates->spin_ns = 0;
    gates->spinning_workers_max = 0;
    gates->active_workers_max = 0;
    gates->spare_tasks = spare_tasks(params, view);
    gates->patience_ns = gates->spare_tasks != 0 ? params->wake_ns : 0;
    uint64_t spin_ns = view->waking_ns < params->spin_measured_ns_max
                           ? view->waking_ns
                           : params->spin_measured_ns_max;
    if (spin_ns < params->spin_ns)
        spin_ns = params->spin_ns;
    if (params->spin_ns == 0 || view->gap_ns >= spin_ns || view->saturated || view->starved ||
        view->cpus < 1.0)
        return;
    gates->spin_ns = spin_ns;
    gates->active_workers_max = (uint32_t)view->cpus;
    gates->spinning_workers_max = view->busy_workers / 2 > 1 ? view->busy_workers / 2 : 1;
}

uint64_t npi_idle_spin_ns(const struct npi_idle_gates *gates, struct npi_idle *idle,
                          uint32_t spinning_workers, uint32_t active_workers)
{
    if (gates->spin_ns == 0 || spinning_workers >= gates->spinning_workers_max ||
        active_workers > gates->active_workers_max)
        return 0;
    if (idle->skips > 0) {
        idle->skips--;
        return 0;
    }
    return gates->spin_ns;
}

void npi_idle_note(struct npi_idle *idle, bool found)
{
    if (found) {
        idle->misses = 0;
        return;
    }
    if (idle->misses < misses_max)
        idle->misses++;
    idle->skips = (uint16_t)((1u << idle->misses) - 1);
}
