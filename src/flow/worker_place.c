/* Where a worker's thread runs, and with which slice of the scheduler. */
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"
#include "topology/place.h"

#include <errno.h>

int npi_worker_place(const struct npi_worker *worker, pid_t tid)
{
    const struct npi_plan_shard *plan = worker->shard->plan;
    if (worker->shard->pool->plan->pinning != NUMAPOOL_PIN_CPU) {
        return npi_place_thread(tid, &plan->cpus);
    }
    int cpu = -1;
    for (uint32_t i = 0; i <= worker->index % plan->cpu_count; i++) {
        cpu = npi_cpuset_next(&plan->cpus, cpu);
    }
    struct npi_cpuset one = {0};
    int result =
        cpu >= 0 && npi_cpuset_add(&one, (unsigned)cpu) ? npi_place_thread(tid, &one) : -ENOMEM;
    npi_cpuset_fini(&one);
    return result;
}

void npi_worker_settle(const struct npi_worker *worker)
{
    struct numapool *pool = worker->shard->pool;
    if (pool->plan->pinning != NUMAPOOL_PIN_NONE && npi_worker_place(worker, 0) != 0) {
        (void)npi_a64_add_relaxed(&pool->bind_denied, 1);
    }
    if (pool->slices_granted) {
        (void)npi_thread_slice(NPI_SLICE_NS);
    }
}
