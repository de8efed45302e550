/* Poisson arrivals with windows; an exponential gap has no memory, so a gap that leaves the window
 * is drawn anew. */
#include "sim/arrivals.h"

#include <math.h>

double sim_exponential(struct npi_prng *prng, double mean)
{
    return -mean * log(1.0 - npi_prng_unit(prng));
}

double sim_gauss(struct npi_prng *prng)
{
    double radius = sqrt(-2.0 * log(1.0 - npi_prng_unit(prng)));
    return radius * cos(6.283185307179586 * npi_prng_unit(prng));
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

bool sim_load_next(const struct sim_load *load, struct npi_prng *prng, uint64_t now_ns,
                   uint64_t *at_ns)
{
    double t = (double)now_ns * 1e-9, begin, end;
    if (!(load->per_s > 0.0))
        return false;
    while (stretch(load, t, &begin, &end)) {
        double next = begin + sim_exponential(prng, 1.0 / load->per_s);
        if (next < end) {
            *at_ns = (uint64_t)(next * 1e9) + 1;
            return true;
        }
        t = end;
    }
    return false;
}

void sim_load_job(const struct sim_load *load, struct npi_prng *prng, struct sim_job *job)
{
    double cpu = load->cpu_ms * 1e6, block = load->block_ms * 1e6;
    job->cpu_ns = load->cpu_shape == SIM_EXPONENTIAL ? sim_exponential(prng, cpu) : cpu;
    job->block_ns =
        (uint64_t)(load->block_shape == SIM_EXPONENTIAL ? sim_exponential(prng, block) : block);
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
