/*
 * The worker law of one shard.
 *
 * Two slopes, hence two gains. Below saturation throughput is proportional to workers, so growth is
 * a multiplicative (Newton) step toward full CPUs. At saturation each further worker adds exactly
 * one waiter, so shrinking subtracts a share of the waiters. Using CPUs / (CPU share of a task) in
 * both regimes is neutrally stable: oversubscribed CPU work has a CPU share of CPUs/workers, and
 * every worker count above the CPUs is a fixed point. Hence run-queue wait must never be read as
 * blocking.
 */
#include "policy/scale.h"

#include <string.h>

#include "base/ewma.h"

static const double growth_ratio_max = 1024.0;
static const double near_saturation = 0.8;
static const double guard_step_down = 0.75; /* workers of the next try, as a share of the last */
static const double guard_service_ns_max = 2e9; /* slower tasks are not judged: they may be stuck */
static const double foreign_share_least = 0.05; /* others' part of the CPUs that is no noise */
static const double outnumbered_wait =
    0.5;                                   /* part of the tolerated wait that leaves room to grow */
static const double guard_disbelief = 0.8; /* what is left of a remembered rate after a vain try */

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* 2^x for x in [0, 1]: Taylor's series of exp(x ln 2), error below 2e-6. libm is not linked for one
 * power. */
static double exp2_unit(double x)
{
    double y = x * 0.69314718055994531, term = 1.0, sum = 1.0;
    for (int n = 1; n <= 7; n++) {
        term *= y / n;
        sum += term;
    }
    return sum;
}

static double peak_add(struct npi_peak *peak, uint64_t now_ns, uint64_t hold_ns, double value)
{
    uint64_t slot_ns = hold_ns / NPI_PEAK_SLOTS > 0 ? hold_ns / NPI_PEAK_SLOTS : 1;
    uint64_t index = now_ns / slot_ns;
    uint64_t passed = index > peak->slot_index ? index - peak->slot_index : 0;
    for (uint64_t i = 1; i <= passed && i <= NPI_PEAK_SLOTS; i++)
        peak->slot[(peak->slot_index + i) % NPI_PEAK_SLOTS] = 0.0;
    if (index > peak->slot_index)
        peak->slot_index = index;
    double *slot = &peak->slot[peak->slot_index % NPI_PEAK_SLOTS];
    *slot = most(*slot, value);
    double highest = 0.0;
    for (int i = 0; i < NPI_PEAK_SLOTS; i++)
        highest = most(highest, peak->slot[i]);
    return highest;
}

void npi_scale_init(struct npi_scale *scale, double cap_workers)
{
    memset(scale, 0, sizeof *scale);
    scale->cap_workers = cap_workers > 1.0 ? cap_workers : 1.0;
}

uint32_t npi_scale_limit(uint32_t cap_workers, uint32_t quota_workers)
{
    uint32_t limit = cap_workers < quota_workers ? cap_workers : quota_workers;
    return limit > 0 ? limit : 1;
}

/* Everything one step works with; CPUs and workers as time averages. */
struct view {
    double elapsed_ns;
    double cpus;       /* C */
    double busy;       /* N */
    double used;       /* U */
    double foreign;    /* what others use */
    double taken;      /* U plus what others use: max(U, C - idle) */
    double taken_peak; /* the last tick's value if higher: growth must see a filled CPU at once */
    double available;  /* C less what others use */
    double wait;       /* workers in the run queue */
    double caused;     /* of them those that wait for our own: see smooth() */
    double tolerated;  /* as many of them as may be */
    bool outnumbered;  /* others fill the CPUs, yet our workers hardly wait: see grow() */
    double service_ns; /* N/X, grows by itself while nothing completes */
    double live_busy;
    bool queued;  /* the limit holds work back, and it waits here */
    bool binding; /* the same, or it was taken elsewhere */
};

static void smooth(const struct npi_policy_params *params, struct npi_scale *scale,
                   const struct npi_scale_sample *sample, struct view *view)
{
    double elapsed = (double)sample->elapsed_ns;
    /* While young, a plain mean: a mean that starts at zero would take 0.15 s to see full CPUs. */
    double weight = npi_ewma_weight(elapsed, least((double)params->rate_tau_ns, scale->age_ns));
    scale->age_ns += elapsed;
    double used_now = sample->cpu_ns / elapsed;
    double foreign_now = 0.0;
    view->elapsed_ns = elapsed;
    view->cpus = most(sample->cpus, 0.01);
    if (sample->idle_known)
        foreign_now = most(-used_now, view->cpus - sample->idle_ns / elapsed - used_now);
    scale->busy = npi_ewma_mix(scale->busy, weight, sample->busy_ns / elapsed);
    scale->cpu = npi_ewma_mix(scale->cpu, weight, used_now);
    scale->runnable =
        npi_ewma_mix(scale->runnable, weight,
                     used_now + (sample->delay_known ? sample->delay_ns / elapsed : 0.0));
    scale->foreign = npi_ewma_mix(scale->foreign, weight, foreign_now);
    scale->waking = npi_ewma_mix(scale->waking, weight,
                                 (double)sample->wakes * (double)params->wake_excused_ns / elapsed);
    scale->done_per_ns =
        npi_ewma_mix(scale->done_per_ns, weight, (double)sample->completed_tasks / elapsed);
    scale->done_run = npi_ewma_mix(scale->done_run, weight, sample->completed_run_ns / elapsed);

    view->busy = most(scale->busy, 1e-9);
    view->used = scale->cpu;
    /* Clipped after smoothing: noise of single ticks must not add up to a neighbour. */
    view->foreign = most(0.0, scale->foreign);
    view->taken = scale->cpu + view->foreign;
    view->taken_peak = most(view->taken, used_now + most(0.0, foreign_now));
    view->available = most(view->cpus - view->foreign, 0.01);
    view->wait = scale->runnable - scale->cpu;
    /*
     * A worker in the run queue waits for whoever runs meanwhile: for our own workers in proportion
     * to what they use of the CPUs. Only that part can fewer of our workers shorten. Beside a
     * program that fills the CPUs each wake-up waits a scheduler slice however few we are, and a
     * pool of blocking tasks that answered by shrinking would give up its throughput for nothing.
     * While we use more than others do, all of the wait counts as ours: time in the task is then
     * what pays.
     */
    view->caused = view->wait;
    if (view->foreign > foreign_share_least * view->cpus)
        view->caused *= least(1.0, 2.0 * scale->cpu / most(scale->cpu + view->foreign, 1e-9));
    view->tolerated = params->wait_share_max * view->busy;
    view->outnumbered = sample->delay_known && view->foreign > foreign_share_least * view->cpus &&
                        view->taken >= params->cpu_saturated * view->cpus &&
                        view->used < params->cpu_saturated * view->cpus &&
                        view->caused < outnumbered_wait * view->tolerated;
    /* A ratio of smoothed values, so both age alike; bounded to 1000 s for shards that completed
     * nothing yet. */
    view->service_ns = scale->busy / most(scale->done_per_ns, 1e-12 * most(scale->busy, 1.0));
    view->live_busy = (double)sample->busy_workers;
    bool full = view->live_busy >= params->limit_binding * (double)sample->limit_workers;
    view->queued = full && sample->queued_tasks > 0;
    view->binding = view->queued || (full && sample->own_workers > (double)sample->limit_workers);
    if (sample->completed_tasks > 0) {
        scale->service_ns = view->service_ns;
        scale->task_ns = scale->done_run / scale->done_per_ns;
        scale->task_cpu_ns = scale->cpu / scale->done_per_ns;
    }
}

/*
 * Throughput guard: if more workers make the pool slower (a lock, a disk, a database behind the
 * tasks), the CPUs stay free and the law would grow to the budget. When completions have clearly
 * fallen while workers rose, try a quarter fewer. If that brings more completions, go on until it
 * does not, then let growth rest and later feel the way up. If it brings none, the tasks have
 * merely become longer: the workers come back, and the guard rests and believes its memory less.
 *
 * An epoch is long enough for a change to show: three smoothing constants plus three service times,
 * of which the last third is measured. Saturated CPUs are not its business: there the run queue
 * tells more, and sooner.
 */
static void guard_epoch_start(struct npi_scale_guard *guard, uint64_t now_ns, double length_ns)
{
    guard->tail_start_ns = now_ns + (uint64_t)(length_ns * 2 / 3);
    guard->epoch_end_ns = now_ns + (uint64_t)length_ns;
    guard->busy_ns = guard->bound_ns = guard->tail_ns = guard->done_tasks = 0.0;
}

/* Fewer completions than the best rate would have given, beyond three standard deviations. */
static bool is_loss(double now_per_ns, double now_tasks, double best_per_ns)
{
    double expected = now_tasks * (best_per_ns / now_per_ns);
    double gap = expected - now_tasks;
    return gap * gap > 9.0 * (expected + now_tasks);
}

static enum npi_scale_move guard_try(struct npi_scale *scale, double rate_per_ns, double workers)
{
    scale->guard.before_per_ns = rate_per_ns;
    scale->guard.before_cap_workers = scale->cap_workers;
    scale->guard.trying = true;
    scale->cap_workers = most(least(workers, scale->cap_workers) * guard_step_down, 1.0);
    return NPI_SCALE_UNDO;
}

/* The end of an epoch with fewer workers. */
static enum npi_scale_move guard_judge(const struct npi_policy_params *params,
                                       struct npi_scale *scale, uint64_t now_ns, double rate_per_ns,
                                       double workers)
{
    struct npi_scale_guard *guard = &scale->guard;
    double margin = params->guard_throughput_loss / 2;
    if (rate_per_ns > guard->before_per_ns * (1.0 + margin)) {
        guard->careful = true;
        guard->best_per_ns = rate_per_ns;
        guard->best_workers = workers;
        return guard_try(scale, rate_per_ns, workers);
    }
    guard->trying = false;
    uint64_t rest_ns = params->guard_hold_ns << guard->strikes;
    if (guard->strikes < 3)
        guard->strikes++;
    if (rate_per_ns > guard->before_per_ns * (1.0 - margin))
        guard->careful = true; /* as much with fewer: keep them */
    else
        scale->cap_workers = most(scale->cap_workers, guard->before_cap_workers);
    if (guard->careful) {
        guard->rest_until_ns = now_ns + rest_ns;
    } else {
        guard->off_until_ns = now_ns + rest_ns;
        guard->best_per_ns *= guard_disbelief;
    }
    return NPI_SCALE_HOLD;
}

static enum npi_scale_move guard_step(const struct npi_policy_params *params,
                                      struct npi_scale *scale,
                                      const struct npi_scale_sample *sample,
                                      const struct view *view)
{
    struct npi_scale_guard *guard = &scale->guard;
    if (sample->now_ns >= guard->tail_start_ns) {
        guard->tail_ns += view->elapsed_ns;
        guard->busy_ns += sample->busy_ns;
        guard->done_tasks += (double)sample->completed_tasks;
        if (view->queued)
            guard->bound_ns += view->elapsed_ns;
    }
    /* A fast ramp passes the best point within one epoch, so the smoothed values look for it. */
    if (view->queued && !guard->trying && scale->done_per_ns > guard->best_per_ns) {
        guard->best_per_ns = scale->done_per_ns;
        guard->best_workers = scale->busy;
    }
    if (sample->now_ns < guard->epoch_end_ns)
        return NPI_SCALE_HOLD;

    double length =
        3.0 * ((double)params->rate_tau_ns + least(view->service_ns, guard_service_ns_max));
    double tail_ns = guard->tail_ns, tasks = guard->done_tasks;
    double rate = tail_ns > 0.0 ? tasks / tail_ns : 0.0;
    double workers = tail_ns > 0.0 ? guard->busy_ns / tail_ns : 0.0;
    double bound = tail_ns > 0.0 ? guard->bound_ns / tail_ns : 0.0;
    guard_epoch_start(guard, sample->now_ns, most(length, 9.0 * view->elapsed_ns));

    if (tail_ns < least(view->service_ns, guard_service_ns_max))
        return NPI_SCALE_HOLD; /* tasks got slower meanwhile: this epoch was too short to tell */
    if (guard->trying)
        return guard_judge(params, scale, sample->now_ns, rate, workers);
    if (bound < 0.2 || view->taken >= params->cpu_saturated * view->cpus) {
        /* Where the limit does not bind, completions follow arrivals and tell nothing of workers.
         */
        guard->best_per_ns = guard->best_workers = 0.0;
        guard->strikes = 0;
        guard->careful = false;
        return NPI_SCALE_HOLD;
    }
    if (bound < 0.8)
        return NPI_SCALE_HOLD;
    if (workers <= guard->best_workers * (1.0 + params->guard_workers_gain)) {
        guard->best_per_ns = rate; /* no more workers than before: this is what they give now */
        guard->best_workers = workers;
        return NPI_SCALE_HOLD;
    }
    if (sample->now_ns >= guard->off_until_ns && tasks > 0.0 &&
        view->service_ns < guard_service_ns_max &&
        rate < guard->best_per_ns * (1.0 - params->guard_throughput_loss) &&
        is_loss(rate, tasks, guard->best_per_ns))
        return guard_try(scale, rate, workers);
    return NPI_SCALE_HOLD;
}

static double room_beside_others(const struct view *view)
{
    double wait = most(view->caused, 1e-3 * view->tolerated);
    return least(growth_ratio_max, outnumbered_wait * view->tolerated / most(wait, 1e-9));
}

static void grow(const struct npi_policy_params *params, struct npi_scale *scale,
                 const struct view *view)
{
    double ratio = view->available / most(view->taken_peak - view->foreign, 1e-9);
    double tau = (double)params->rate_tau_ns;
    /*
     * CPUs that others fill say nothing about what more of our workers would gain: each gets its
     * turn from the scheduler, and tasks that mostly block need none of the CPUs' idle time. What
     * tells is the wait they cause each other; until that is half of what is tolerated there is
     * room. Without this a pool of blocking tasks beside a busy program stays at one worker per
     * CPU.
     */
    if (view->outnumbered)
        ratio = room_beside_others(view);
    /* While workers multiply, N/X runs ahead of what tasks take, because completions lag. */
    double pace = view->service_ns;
    if (scale->task_ns > 0.0)
        pace = least(pace, scale->task_ns);
    double factor;
    if (ratio >= 2.0) {
        /* Paced by the feedback delay as TCP's slow start is, but stuck tasks must not slow it
         * without bound. */
        double doubling = least(pace / 2, (double)params->doubling_ns_max);
        doubling = most(doubling, view->elapsed_ns);
        factor = least(exp2_unit(view->elapsed_ns / doubling), ratio);
    } else {
        factor = 1.0 + (ratio - 1.0) * least(1.0, view->elapsed_ns / (tau + view->service_ns));
    }
    double step = ratio >= 1.25 ? 1.0 : 0.05;
    if (scale->guard.careful) { /* more workers have hurt before: feel the way */
        factor = least(factor, 1.0 + 0.08 * view->elapsed_ns / (tau + view->service_ns));
        step = 0.1;
    }
    scale->cap_workers = most(scale->cap_workers + step, scale->cap_workers * factor);
}

static enum npi_scale_move adjust(const struct npi_policy_params *params, struct npi_scale *scale,
                                  const struct npi_scale_sample *sample, const struct view *view,
                                  bool starved)
{
    double saturated = params->cpu_saturated * view->cpus;
    double floor_workers = most(1.0, view->cpus);
    /* Others hold the CPUs: keep what we really get plus room to notice when they leave. */
    if (starved)
        floor_workers = most(1.0, least(view->cpus, view->used * 1.1 + 1.0));
    else if (view->foreign > foreign_share_least * view->cpus)
        floor_workers = most(1.0, least(view->cpus, most(view->cpus / 2, view->used + 1.0)));
    double from = least(scale->cap_workers, most(view->live_busy, floor_workers));
    /* Near saturation the run queue decides: few CPUs fill to 95 % only with workers that wait. */
    bool crowded = sample->delay_known && view->taken > near_saturation * view->cpus &&
                   view->caused > view->tolerated;
    bool may_grow = !crowded && view->binding &&
                    (view->taken_peak < saturated || view->outnumbered) &&
                    (double)sample->limit_workers >=
                        params->limit_binding * (double)(uint64_t)scale->cap_workers &&
                    sample->now_ns >= scale->guard.rest_until_ns && !scale->guard.trying;

    if (!sample->delay_known) {
        if (view->taken >= params->cpu_full * view->cpus && scale->cap_workers > view->cpus) {
            /* Saturated, but blind for the waiters: give back until the CPUs are just not full, the
             * faster the longer that takes. */
            double ticks = view->elapsed_ns / 1e7;
            scale->probe_ticks += ticks;
            double hurry = most(0.0, scale->probe_ticks - 10.0) / 2.0;
            double share = params->probe_per_tick * ticks * (1.0 + hurry);
            scale->cap_workers = most(floor_workers, from * (1.0 - least(0.25, share)));
            return NPI_SCALE_SHRINK;
        }
        scale->probe_ticks = 0.0;
    } else {
        bool overloaded = view->caused > view->tolerated && view->taken >= saturated &&
                          view->used + view->caused > view->available + 0.5;
        if (starved || overloaded) {
            /* Half an integrator gain per loop delay: smoothing plus the time until a worker can
             * leave. */
            double gain =
                view->elapsed_ns / (2.0 * ((double)params->rate_tau_ns + view->service_ns));
            double waiting = starved ? view->wait : view->caused;
            if (waiting > params->wait_share_starved * view->busy)
                gain *= 4.0;
            scale->cap_workers =
                most(floor_workers, from - least(1.0, gain) * (waiting - view->tolerated));
            return NPI_SCALE_SHRINK;
        }
    }
    if (!may_grow)
        return NPI_SCALE_HOLD;
    grow(params, scale, view);
    return NPI_SCALE_GROW;
}

void npi_scale_step(const struct npi_policy_params *params, struct npi_scale *scale,
                    const struct npi_scale_sample *sample, struct npi_scale_result *result)
{
    struct view view;
    memset(&view, 0, sizeof view);
    memset(result, 0, sizeof *result);
    struct npi_scale_sample same = *sample;
    if (same.elapsed_ns == 0) /* no time passed: a tick of no weight */
        same.elapsed_ns = 1;
    smooth(params, scale, &same, &view);

    bool starved = same.delay_known && view.taken < params->cpu_saturated * view.cpus &&
                   view.wait - scale->waking > params->wait_share_starved * view.busy;
    result->move = guard_step(params, scale, &same, &view);
    if (result->move != NPI_SCALE_UNDO)
        result->move = adjust(params, scale, &same, &view, starved);

    /* The two counts were read one after the other and may disagree. */
    double queued = most(0.0, (double)same.queued_tasks - (double)same.guest_tasks);
    double backlog = queued * view.service_ns / (double)params->backlog_clear_ns;
    double wanted = same.own_workers + backlog;
    if (!view.binding) {
        /* What nobody uses is forgotten slowly: the next burst should find half of the last one's
         * limit. */
        double keep = most(most(view.cpus, 1.0), 2.0 * scale->held_workers);
        double rate = least(1.0, view.elapsed_ns / (double)params->forget_tau_ns);
        if (scale->cap_workers > keep)
            scale->cap_workers -= (scale->cap_workers - keep) * rate;
    }
    result->need_workers = peak_add(&scale->need, same.now_ns, params->need_hold_ns,
                                    least(wanted, most(scale->cap_workers, view.live_busy)));
    result->held_workers = peak_add(&scale->held, same.now_ns, params->held_hold_ns,
                                    least(wanted, scale->cap_workers));
    scale->held_workers = result->held_workers;
    double mean_tau = least((double)params->mean_tau_ns, scale->age_ns);
    scale->mean_workers =
        npi_ewma_mix(scale->mean_workers, npi_ewma_weight(view.elapsed_ns, mean_tau),
                     least(wanted, most(scale->cap_workers, view.live_busy)));
    result->mean_workers = scale->mean_workers;

    result->cap_workers = scale->cap_workers < 4e9 ? (uint32_t)scale->cap_workers : UINT32_MAX;
    result->service_ns = scale->service_ns;
    result->task_ns = scale->task_ns;
    result->task_cpu_ns = scale->task_cpu_ns;
    result->cpu_used = view.used;
    result->cpu_taken = view.taken;
    result->saturated = view.taken >= params->cpu_saturated * view.cpus;
    result->cpu_free = view.taken < params->cpu_full * view.cpus;
    result->starved = starved;
    result->growth_ratio = 1.0;
    bool resting = same.now_ns < scale->guard.rest_until_ns || scale->guard.trying;
    if (view.outnumbered && !resting)
        result->growth_ratio = most(1.0, room_beside_others(&view));
    else if (!result->saturated && !starved && !resting)
        result->growth_ratio =
            least(growth_ratio_max, most(1.0, view.available / most(view.used, 1e-9)));
}
