/* Sampling workers; see usage.h. */
#include "flow/usage.h"

#include "flow/balancer.h"
#include "flow/worker.h"
#include "os/os.h"

#define SAMPLES_MAX 64

/* Ticks after which the sample moves on: the smoothing constant of the rates. */
#define SAMPLE_TURN_TICKS 5

static void forget(struct npi_worker *worker)
{
    worker->sampled = false;
    npi_thread_usage_close(&worker->usage_fd);
}

void npi_usage_forget(struct npi_shard *shard)
{
    for (uint32_t i = 0; i < npi_a32_load_relaxed(&shard->slots_used); i++) {
        shard->workers[i].sampled = false;
    }
}

void npi_usage_close(struct npi_shard *shard)
{
    for (uint32_t i = 0; i < npi_a32_load_relaxed(&shard->slots_used); i++) {
        forget(&shard->workers[i]);
    }
}

struct sums {
    double cpu_ns, spin_ns, delay_ns, run_ticks;
    uint64_t done;
    uint32_t asked, busy;
    bool delay_known;
};

static void ask(struct npi_worker *worker, struct sums *sums)
{
    uint32_t tid = npi_a32_load_relaxed(&worker->tid);
    if (tid == 0) {
        forget(worker);
        return;
    }
    uint64_t done = npi_a64_load_relaxed(&worker->done);
    uint64_t run_ticks = npi_a64_load_relaxed(&worker->run_ticks);
    uint64_t spin_ticks = npi_a64_load_relaxed(&worker->spin_ticks);
    bool busy = npi_a64_load_relaxed(&worker->started_ticks) != 0;
    sums->asked++;
    sums->busy += busy;
    if (worker->sampled && !busy && done == worker->done_before) {
        return; /* it slept: nothing used, and what was read stays the baseline */
    }
    struct npi_thread_usage now;
    if (npi_thread_usage((pid_t)tid, worker->thread, &worker->usage_fd, &now) != 0) {
        forget(worker);
        return;
    }
    if (now.delay_ns == UINT64_MAX) {
        sums->delay_known = false;
        now.delay_ns = 0;
    }
    if (worker->sampled && now.cpu_ns >= worker->usage_before.cpu_ns) {
        double cpu_ns = (double)(now.cpu_ns - worker->usage_before.cpu_ns);
        double spin_ns = (double)npi_clock_ticks_to_ns(spin_ticks - worker->spin_ticks_before);
        sums->cpu_ns += cpu_ns;
        sums->spin_ns += spin_ns < cpu_ns ? spin_ns : cpu_ns; /* it may have waited for the CPU */
        sums->delay_ns += (double)(now.delay_ns - worker->usage_before.delay_ns);
        sums->done += done - worker->done_before;
        sums->run_ticks += (double)(run_ticks - worker->run_ticks_before);
    }
    worker->sampled = true;
    worker->usage_before = now;
    worker->done_before = done;
    worker->run_ticks_before = run_ticks;
    worker->spin_ticks_before = spin_ticks;
}

void npi_usage_sample(struct npi_tick *tick, struct npi_shard *shard, struct npi_usage *usage)
{
    uint32_t slots = npi_a32_load_relaxed(&shard->slots_used);
    uint32_t threads = npi_a32_load_relaxed(&shard->threads);
    struct sums sums = {.delay_known = true};
    bool all = threads <= SAMPLES_MAX;
    uint32_t stride = all ? 1 : slots / SAMPLES_MAX + 1;
    bool turn = !all && tick->sample_turn++ % SAMPLE_TURN_TICKS == 0;
    if (stride != tick->sample_stride || turn) {
        for (uint32_t i = tick->sample_first; i < slots;
             i += tick->sample_stride ? tick->sample_stride : 1) {
            if (!all) {
                /* the last question to those who leave the sample */
                ask(&shard->workers[i], &sums);
                forget(&shard->workers[i]);
            }
        }
        tick->sample_stride = stride;
        uint32_t next = tick->sample_first + 1;
        tick->sample_first = !all && next < stride ? next : 0;
        struct sums ignored = {.delay_known = true};
        for (uint32_t i = tick->sample_first; i < slots && !all; i += stride) {
            ask(&shard->workers[i], &ignored);
        }
        if (all) {
            for (uint32_t i = 0; i < slots; i++) {
                ask(&shard->workers[i], &sums);
            }
        }
    } else {
        for (uint32_t i = tick->sample_first; i < slots; i += stride) {
            ask(&shard->workers[i], &sums);
        }
    }
    double scale = 1.0;
    if (!all && sums.busy != 0) {
        uint32_t busy = npi_shard_busy(shard) + npi_a32_load_relaxed(&shard->blocked);
        scale = (double)busy / sums.busy;
    }
    usage->cpu_ns = sums.cpu_ns * scale;
    usage->spin_ns = sums.spin_ns * scale;
    usage->delay_ns = sums.delay_ns * scale;
    usage->delay_known = sums.delay_known;
    usage->run_ns_per_task =
        sums.done != 0
            ? (double)npi_clock_ticks_to_ns((uint64_t)(sums.run_ticks / (double)sums.done))
            : 0.0;
}
