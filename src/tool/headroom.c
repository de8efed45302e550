/* See headroom.h. */
#include "tool/headroom.h"

/* Waiting tasks per permit that halve the weight. */
#define ROUNDS_HALF 4.0
#define BUSY_SHARE 0.5

static double within(double value, double most)
{
    return value > 0.0 ? (value < most ? value : most) : 0.0;
}

double headroom_room(double busy, double filled, double rounds, double refused)
{
    double served = 1.0 - within(refused, 1.0);
    return (1.0 - BUSY_SHARE * within(busy, 1.0)) * (1.0 - within(filled, 1.0)) /
           (1.0 + within(rounds, 1e9) / ROUNDS_HALF) * served * served;
}

/*
 * Workers that may run. At rest a quota is lent away or shrinks, but comes back within a tick up to as many
 * as there are CPUs; beyond those the pool deals permits by what it has measured.
 */
static double permits(const struct numapool_page_shard *total)
{
    double cpus = (double)total->cpus_milli / 1000.0;
    double sure = total->budget != 0 && (double)total->budget < cpus ? (double)total->budget : cpus;
    double quota = (double)total->quota;
    double most = quota > sure ? quota : sure;
    return most > 1.0 ? most : 1.0;
}

struct headroom headroom_of(const struct pool_view *view)
{
    const struct numapool_page_shard *now = &view->total.now;
    const struct pool_rates *rates = &view->total.rates;
    double may_run = permits(now), waiting = (double)now->queue_depth;
    /* Not refused_other: closed and cancelled tasks say nothing of room. */
    double refused =
        rates->refused_full + rates->refused_shed + rates->refused_deadline + rates->refused_bytes;
    struct headroom h = {
        .busy = within((double)now->workers_running / may_run, 1.0),
        .filled =
            now->queue_capacity != 0 ? within(waiting / (double)now->queue_capacity, 1.0) : 0.0,
        .rounds = waiting / may_run,
        .refused = rates->submitted > 0.0 ? within(refused / rates->submitted, 1.0) : 0.0,
    };
    h.room = headroom_room(h.busy, h.filled, h.rounds, h.refused);
    return h;
}
