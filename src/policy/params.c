/* The built-in value of every policy parameter; the reasons stand at the fields in params.h. */
#include "policy/params.h"

#include <string.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

void npi_policy_defaults(struct npi_policy_params *params)
{
    memset(params, 0, sizeof *params);

    params->tick_ns = 10 * MS;
    params->rate_tau_ns = 50 * MS;

    params->cpu_saturated = 0.95;
    params->cpu_full = 0.97;
    params->wait_share_max = 0.15;
    params->wait_share_starved = 0.40;
    params->wake_excused_ns = 50 * US;
    params->limit_binding = 0.90;
    params->doubling_ns_max = 20 * MS;
    params->forget_tau_ns = 1 * SECOND;
    params->need_hold_ns = 100 * MS;
    params->held_hold_ns = 500 * MS;
    params->mean_tau_ns = 1 * SECOND;
    params->backlog_clear_ns = 50 * MS;
    params->probe_per_tick = 0.02;
    params->guard_throughput_loss = 0.05;
    params->guard_workers_gain = 0.10;
    params->guard_hold_ns = 1 * SECOND;

    params->held_headroom = 1.10;
    params->dead_band_share = 0.15;
    params->dead_band_workers = 3;

    params->memory_bound_share = 0.30;
    params->move_cost_ns = 20 * US;
    params->move_gain_ns_min = 50 * US;
    params->data_penalty_factor = 3;
    params->overflow_fill_permille = 750;
    params->guest_permille = 500;

    params->share_permille[NPI_CLASS_CRITICAL] = 1000;
    params->share_permille[NPI_CLASS_NORMAL] = 900;
    params->share_permille[NPI_CLASS_SHEDDABLE] = 500;
    params->queue_delay_ns[NPI_CLASS_CRITICAL] = NPI_NEVER_NS;
    params->queue_delay_ns[NPI_CLASS_NORMAL] = 100 * MS;
    params->queue_delay_ns[NPI_CLASS_SHEDDABLE] = 50 * MS;
    params->codel_target_ns = 5 * MS;
    params->codel_interval_ns = 100 * MS;
    params->standing_targets[NPI_CLASS_CRITICAL] = 0;
    params->standing_targets[NPI_CLASS_NORMAL] = 4;
    params->standing_targets[NPI_CLASS_SHEDDABLE] = 1;
    params->deadline_margin = 0.8;
    params->overdue_turn = 16;
    params->overdue_ns = 1 * SECOND;
    params->retry_ns_max = 1 * SECOND;

    params->spin_ns = 10 * US;
    params->spin_measured_ns_max = 50 * US;
    params->wake_ns = 5 * US;
    params->stream_gap_ns = 2 * US;
    params->spare_tasks_max = 64;
}
