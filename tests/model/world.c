/*
 * What lies beside and below the shipped sources in the model: src/os/ comes from the scheduler,
 * placement and statistics do nothing, and the memory of tasks is a counter.
 */
#include "model/rig.h"

#include "flow/usage.h"
#include "memory/memory.h"
#include "os/os.h"
#include "topology/cgroup.h"
#include "topology/place.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------------------- src/os/os.h */

int npi_park_wait(npi_a32 *word, uint32_t value, uint64_t deadline_ns)
{
    return model_park_wait(&word->value_, value, deadline_ns);
}

void npi_park_wake(npi_a32 *word, unsigned count)
{
    model_park_wake(&word->value_, count);
}

uint64_t npi_clock_now_ns(void)
{
    return model_now_ns();
}

uint64_t npi_clock_ticks(void)
{
    return model_ticks();
}

uint64_t npi_clock_ticks_to_ns(uint64_t ticks)
{
    return ticks;
}

uint64_t npi_clock_ns_to_ticks(uint64_t ns)
{
    return ns;
}

void npi_thread_yield(void)
{
    model_yield();
}

pid_t npi_thread_id(void)
{
    return model_self() + 1;
}

int npi_thread_cpu(void)
{
    return (int)rig.cpu_of_thread[model_self()];
}

int npi_thread_slice(uint64_t slice_ns)
{
    (void)slice_ns;
    return -ENOSYS;
}

/* A thread's body returns a value, a model thread's does not. */
static struct {
    void *(*body)(void *);
    void *arg;
    char name[16];
} starts[MODEL_THREADS];

static void run_body(void *arg)
{
    int self = model_self();
    (void)arg;
    (void)starts[self].body(starts[self].arg);
}

int npi_thread_start(pthread_t *thread, void *stack, size_t stack_bytes, const char *name,
                     void *(*body)(void *), void *arg)
{
    (void)stack;
    (void)stack_bytes;
    if (rig.threads_refused != 0) {
        rig.threads_refused--;
        return -EAGAIN;
    }
    int number = model_spawn_daemon("", run_body, NULL);
    starts[number].body = body;
    starts[number].arg = arg;
    (void)strncpy(starts[number].name, name, sizeof starts[number].name - 1);
    model_name(number, starts[number].name);
    *thread = (pthread_t)number;
    return 0;
}

/* In the place of the C library's, by the compiler's command line. */
int model_pthread_join(pthread_t thread, void **result);
int model_pthread_join(pthread_t thread, void **result)
{
    (void)result;
    model_join((int)thread);
    return 0;
}

int model_pthread_tryjoin_np(pthread_t thread, void **result);
int model_pthread_tryjoin_np(pthread_t thread, void **result)
{
    (void)result;
    if (!model_ended((int)thread)) {
        return EBUSY;
    }
    model_join((int)thread);
    return 0;
}

int model_pthread_mutex_lock(pthread_mutex_t *mutex);
int model_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    model_lock(mutex);
    return 0;
}

int model_pthread_mutex_unlock(pthread_mutex_t *mutex);
int model_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    model_unlock(mutex);
    return 0;
}

int model_pthread_setcancelstate(int state, int *before);
int model_pthread_setcancelstate(int state, int *before)
{
    (void)state;
    (void)before;
    return 0;
}

int npi_thread_usage(pid_t tid, pthread_t thread, int *fd, struct npi_thread_usage *usage)
{
    (void)tid;
    (void)thread;
    (void)fd;
    (void)usage;
    return -ENOSYS;
}

void npi_thread_usage_close(int *fd)
{
    *fd = -1;
}

size_t npi_pages_size(void)
{
    return 4096;
}

int npi_pages_commit(void *start, size_t bytes)
{
    (void)start;
    (void)bytes;
    return 0;
}

int npi_pages_return(void *start, size_t bytes)
{
    (void)start;
    (void)bytes;
    return 0;
}

int npi_pages_populate(void *start, size_t bytes)
{
    (void)start;
    (void)bytes;
    return 0;
}

int npi_pages_hugepages(void *start, size_t bytes, bool wanted)
{
    (void)start;
    (void)bytes;
    (void)wanted;
    return 0;
}

int npi_machine_idle_ns(const uint64_t *cpu_words, size_t word_count, uint64_t *idle_ns)
{
    (void)cpu_words;
    (void)word_count;
    (void)idle_ns;
    return -ENOENT;
}

/* ------------------------------------------------------------------------------- topology */

int npi_place_thread(pid_t tid, const struct npi_cpuset *cpus)
{
    (void)tid;
    (void)cpus;
    return 0;
}

int npi_place_thread_get(pid_t tid, struct npi_cpuset *cpus)
{
    (void)tid;
    (void)cpus;
    return -ENOSYS;
}

double npi_cgroup_cpu_limit(const char *root)
{
    (void)root;
    return 0.0;
}

/* ----------------------------------------------------------------------------- statistics */

void npi_usage_sample(struct npi_tick *tick, struct npi_shard *shard, struct npi_usage *usage)
{
    (void)tick;
    (void)shard;
    memset(usage, 0, sizeof *usage);
}

void npi_histogram_record_shared(struct npi_histogram *histogram, uint64_t ns)
{
    (void)histogram;
    (void)ns;
}

void npi_usage_forget(struct npi_shard *shard)
{
    (void)shard;
}

/* The rig has no page. */
void npi_stats_page_put(struct npi_publisher *publisher, struct npi_shard *shard, double cpus,
                        uint64_t now_ns, bool last)
{
    (void)publisher;
    (void)shard;
    (void)cpus;
    (void)now_ns;
    (void)last;
    MODEL_CHECK(false);
}

void npi_usage_close(struct npi_shard *shard)
{
    (void)shard;
}

void npi_pool_log(const struct numapool *pool, int level, const char *format, ...)
{
    (void)pool;
    (void)level;
    (void)format;
}

/* --------------------------------------------------------------------- memory of tasks */

bool npi_space_reserve(struct npi_space *space, uint64_t bytes)
{
    (void)space;
    rig.bytes_in_use += bytes;
    return true;
}

void npi_space_unreserve(struct npi_space *space, uint64_t bytes)
{
    (void)space;
    rig.bytes_in_use -= bytes;
}

int npi_space_node_of(const struct npi_space *space, const void *address)
{
    (void)space;
    (void)address;
    return -1;
}

void npi_space_trim(struct npi_space *space)
{
    (void)space;
}

void npi_scratch_begin(struct npi_scratch *scratch, uint64_t granted_bytes)
{
    scratch->granted_bytes = granted_bytes;
}

void npi_scratch_end(struct npi_scratch *scratch)
{
    scratch->granted_bytes = 0;
}

void npi_scratch_cool(struct npi_scratch *scratch)
{
    (void)scratch;
}

void npi_cache_flush(const struct npi_space *space)
{
    (void)space;
}

/* ------------------------------------------------------------------------------- the end */

/* From here on nobody may touch what a pool owns. */
void npi_pool_free(struct numapool *pool)
{
    MODEL_CHECK(pool == &rig.pool);
    rig.freed = true;
    model_retire(&rig.pool, sizeof rig.pool);
    for (unsigned i = 0; i < RIG_SHARDS; i++) {
        model_retire(&rig.shards[i], sizeof rig.shards[i]);
        model_retire(rig.workers[i], sizeof rig.workers[i]);
        model_retire(rig.sleepers[i], sizeof rig.sleepers[i]);
        model_retire(rig.memory[i], sizeof rig.memory[i]);
    }
}
