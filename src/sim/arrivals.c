/* Poisson arrivals with windows; an exponential gap has no memory, so a gap that leaves the window
 * is drawn anew, and a changing rate is its highest one of which some arrivals are left out. */
#include "sim/arrivals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/event.h"

static const double pi = 3.141592653589793;

double sim_exponential(struct npi_prng *prng, double mean)
{
    return -mean * log(1.0 - npi_prng_unit(prng));
}

double sim_gauss(struct npi_prng *prng)
{
    double radius = sqrt(-2.0 * log(1.0 - npi_prng_unit(prng)));
    return radius * cos(2.0 * pi * npi_prng_unit(prng));
}

/* Where the active stretch around or after t ends and begins; false = never active again. */
static bool stretch(const struct sim_load *load, double t, double *begin, double *end)
{
    double until = load->until_s > 0.0 ? load->until_s : 1e9;
    if (t < load->from_s)
        t = load->from_s;
    *begin = t;
    *end = until;
    if (load->period_s > 0.0) {
        double base = floor(t / load->period_s) * load->period_s;
        if (t >= base + load->off_s)
            base += load->period_s;
        if (*begin < base + load->on_s)
            *begin = base + load->on_s;
        if (*end > base + load->off_s)
            *end = base + load->off_s;
    }
    return *begin < until;
}

static double rate_at(const struct sim_load *load, double t)
{
    double along = (t - load->curve_from_s) / load->curve_s;
    if (load->curve == SIM_WAVE)
        along = 0.5 - 0.5 * cos(2.0 * pi * along);
    return load->per_s + (load->peak_per_s - load->per_s) * fmin(fmax(along, 0.0), 1.0);
}

static uint64_t next_arrival(const struct sim_load *load, struct npi_prng *prng, uint64_t now_ns)
{
    bool steady = load->curve == SIM_STEADY;
    double top = steady ? load->per_s : fmax(load->per_s, load->peak_per_s);
    double t = (double)now_ns * 1e-9, begin, end;
    if (!(top > 0.0))
        return NPI_NEVER_NS;
    while (stretch(load, t, &begin, &end)) {
        double gap = load->even_gaps ? 1.0 / top : sim_exponential(prng, 1.0 / top);
        if (load->even_gaps && now_ns == 0) /* or all loads would begin at once */
            gap *= npi_prng_unit(prng);
        t = begin + gap;
        if (!(t < end))
            t = end;
        else if (steady || npi_prng_unit(prng) * top < rate_at(load, t))
            return (uint64_t)(t * 1e9) + 1;
    }
    return NPI_NEVER_NS;
}

static double draw_ns(const struct sim_time *time, struct npi_prng *prng)
{
    double ms = time->ms;
    switch (time->shape) {
    case SIM_FIXED:
        break;
    case SIM_EXPONENTIAL:
        ms = sim_exponential(prng, ms);
        break;
    case SIM_LOGNORMAL:
        ms *= exp(time->spread * sim_gauss(prng) - 0.5 * time->spread * time->spread);
        break;
    case SIM_BIMODAL:
        if (npi_prng_unit(prng) < time->spread)
            ms = time->other_ms;
        break;
    }
    return floor(ms * 1e6 + 0.5);
}

static uint32_t draw_home(const struct sim_load *load, size_t shard_count, struct npi_prng *prng)
{
    uint32_t count = load->home_count > 1 ? load->home_count : 1;
    size_t others = shard_count > count ? shard_count - count : 0;
    if (others > 0 && load->elsewhere > 0.0 && npi_prng_unit(prng) < load->elsewhere) {
        uint32_t other = npi_prng_below(prng, (uint32_t)others);
        return other < load->home ? other : other + count;
    }
    return load->home + (count > 1 ? npi_prng_below(prng, count) : 0);
}

static void draw_job(const struct sim_load *load, struct npi_prng *prng, struct sim_job *job)
{
    job->cpu_ns = draw_ns(&load->cpu, prng);
    job->block_ns = (uint64_t)draw_ns(&load->block, prng);
    job->deadline_ns = (uint64_t)(load->deadline_ms * 1e6);
    job->cpu_before = load->cpu_before > 0.0 ? load->cpu_before : 1.0;
    job->task_class = NPI_CLASS_NORMAL;
    double total = load->mix[0] + load->mix[1] + load->mix[2];
    if (total > 0.0) {
        double draw = npi_prng_unit(prng) * total;
        job->task_class = draw < load->mix[0]                  ? NPI_CLASS_CRITICAL
                          : draw < load->mix[0] + load->mix[1] ? NPI_CLASS_NORMAL
                                                               : NPI_CLASS_SHEDDABLE;
    }
}

void sim_source_init(struct sim_source *source, const struct sim_load *loads, size_t load_count,
                     const struct sim_arrival *trace, size_t trace_count, size_t shard_count,
                     uint64_t seed)
{
    memset(source, 0, sizeof *source);
    source->loads = loads;
    source->load_count = load_count;
    source->trace = trace;
    source->trace_count = trace_count;
    source->shard_count = shard_count;
    source->next_ns = sim_zeroed(load_count, sizeof *source->next_ns);
    npi_prng_seed(&source->prng, seed + 13); /* not those of the placement */
    for (size_t i = 0; i < load_count; i++)
        source->next_ns[i] = next_arrival(&loads[i], &source->prng, 0);
}

void sim_source_fini(struct sim_source *source)
{
    free(source->next_ns);
}

bool sim_source_next(struct sim_source *source, struct sim_arrival *arrival)
{
    if (source->trace) {
        if (source->trace_at == source->trace_count)
            return false;
        *arrival = source->trace[source->trace_at++];
        return true;
    }
    size_t first = 0;
    for (size_t i = 1; i < source->load_count; i++)
        if (source->next_ns[i] < source->next_ns[first])
            first = i;
    if (source->load_count == 0 || source->next_ns[first] == NPI_NEVER_NS)
        return false;
    const struct sim_load *load = &source->loads[first];
    arrival->at_ns = source->next_ns[first];
    arrival->home = draw_home(load, source->shard_count, &source->prng);
    draw_job(load, &source->prng, &arrival->job);
    source->next_ns[first] = next_arrival(load, &source->prng, arrival->at_ns);
    return true;
}
