/*
 * The stats page beside work: no copy contradicts itself, no counter falls. And how often it is
 * published, and what that costs.
 */
#include "unit/page_support.h"

#include "flow/control.h"
#include "flow/pool.h"
#include "flow/worker.h"
#include "os/os.h"

/* -------------------------------------------------------------------------- what it takes */

void __real_npi_stats_page_put(struct npi_publisher *publisher, struct npi_shard *shard,
                               double cpus, uint64_t now_ns, bool last);
void __wrap_npi_stats_page_put(struct npi_publisher *publisher, struct npi_shard *shard,
                               double cpus, uint64_t now_ns, bool last);

#define CALLS_MOST 4096u

static struct {
    npi_a32 count;
    uint64_t ns[CALLS_MOST];
} calls[2]; /* counters; with the times */

void __wrap_npi_stats_page_put(struct npi_publisher *publisher, struct npi_shard *shard,
                               double cpus, uint64_t now_ns, bool last)
{
    bool times = last || now_ns >= publisher->times_next_ns;
    uint64_t begin_ns = npi_clock_now_ns();
    __real_npi_stats_page_put(publisher, shard, cpus, now_ns, last);
    uint64_t took_ns = npi_clock_now_ns() - begin_ns;
    uint32_t at = npi_a32_add_relaxed(&calls[times].count, 1);
    if (at < CALLS_MOST) {
        calls[times].ns[at] = took_ns;
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void print_calls(void)
{
    for (unsigned times = 0; times < 2; times++) {
        uint32_t count = npi_a32_load_relaxed(&calls[times].count);
        count = count < CALLS_MOST ? count : CALLS_MOST;
        qsort(calls[times].ns, count, sizeof(uint64_t), by_size);
        if (count != 0) {
            printf("beside work, %s: %u calls, median %llu ns\n",
                   times != 0 ? "with the times" : "counters", count,
                   (unsigned long long)calls[times].ns[count / 2]);
        }
        npi_a32_store_relaxed(&calls[times].count, 0);
    }
}

/* ---------------------------------------------------------------------------------- work */

#define SUBMITTERS 2u
#define CHANGES 300u /* blocks that are newer than in the sample before */

struct load {
    numapool *pool;
    const struct page *page;
    npi_a32 enough; /* the reader has seen so many */
    npi_a32 left;   /* submitters */
    uint64_t samples, changes, accepted[SUBMITTERS], late[SUBMITTERS];
};

static uint64_t refused(const struct numapool_page_shard *shard)
{
    return shard->refused_full + shard->refused_shed + shard->refused_deadline +
           shard->refused_bytes + shard->refused_other;
}

#define IS_counter 1
#define IS_gauge 0

static void check_beside(const struct numapool_page_shard *now,
                         const struct numapool_page_shard *before,
                         const struct numapool_page_times *times, bool alone)
{
    thread_assert(now->submitted == now->accepted + refused(now));
    thread_assert(now->updates >= before->updates && now->published_ns >= before->published_ns);
    thread_assert(!alone || now->run + now->dropped <= now->accepted);
    thread_assert(now->queue_depth <= now->queue_capacity);
#define GROWS(name, kind, text) thread_assert(!IS_##kind || now->name >= before->name);
    NUMAPOOL_STATS_FIELDS(GROWS)
#undef GROWS
    uint64_t wait = 0, run = 0;
    for (unsigned b = 0; b < NUMAPOOL_PAGE_BUCKETS; b++) {
        wait += times->wait.bucket[b];
        run += times->run.bucket[b];
    }
    thread_assert(wait == times->wait.count && run == times->run.count);
}

static void look(struct load *load)
{
    struct page_sample sample = {0}, before = {0};
    bool last;
    thread_assert(page_sample_take(&before, load->page) == PAGE_OK);
    do {
        last = npi_a32_load_acquire(&load->left) == 0;
        thread_assert(page_sample_take(&sample, load->page) == PAGE_OK);
        for (size_t i = 0; i < sample.shard_count; i++) {
            check_beside(&sample.shards[i], &before.shards[i], &sample.times[i],
                         sample.shard_count == 1);
            load->changes += sample.shards[i].updates != before.shards[i].updates;
        }
        load->samples++;
        if (load->changes >= CHANGES) {
            npi_a32_store_release(&load->enough, 1);
        }
        struct page_sample other = before;
        before = sample;
        sample = other;
    } while (!last);
    page_sample_fini(&sample);
    page_sample_fini(&before);
}

static void submit_or_look(void *context, unsigned index)
{
    struct load *load = context;
    if (index == SUBMITTERS) {
        look(load);
        return;
    }
    struct numapool_task task = {.run = nothing, .flags = NUMAPOOL_ON_NODE};
    for (unsigned i = 0; npi_a32_load_acquire(&load->enough) == 0; i++) {
        task.node = (int)(i % numapool_node_count(load->pool));
        task.deadline_ns = i % 16 == 0; /* long past */
        int result = numapool_submit_task(load->pool, &task);
        load->accepted[index] += result == NUMAPOOL_OK;
        load->late[index] += result == NUMAPOOL_E_DEADLINE;
    }
    (void)npi_a32_add_acq_rel(&load->left, (uint32_t)-1);
}

static void copies_beside_work_are_whole(void **state)
{
    (void)state;
    static const char *const machines[] = {"core:2 pu:1", MACHINE};
    for (unsigned m = 0; m < 2; m++) {
        struct page_process process;
        struct page_sample sample = {0};
        struct load load = {.pool = make("busy", machines[m], NUMAPOOL_STATS_PAGE_ON)};
        npi_a32_init(&load.left, SUBMITTERS);
        open_own(&process, 1);
        load.page = &process.pages[0];
        test_watch("the page is published beside work", NULL);
        test_run_threads(SUBMITTERS + 1, submit_or_look, &load);
        test_watch_end();
        uint64_t run = load.accepted[0] + load.accepted[1];
        size_t last = numapool_shard_count(load.pool) - 1; /* 0 or 1: then the first is another */
        /* The last refusal may have come after all tasks had run and were published. */
        UNTIL(&sample, load.page,
              sample.shards[0].run + (last != 0 ? sample.shards[last].run : 0) == run &&
                  sample.shards[0].refused_deadline +
                          (last != 0 ? sample.shards[last].refused_deadline : 0) ==
                      load.late[0] + load.late[1]);
        printf("%llu samples beside %llu tasks, %llu blocks new\n",
               (unsigned long long)load.samples, (unsigned long long)run,
               (unsigned long long)load.changes);
        page_sample_fini(&sample);
        page_process_close(&process);
        assert_int_equal(numapool_destroy(load.pool), NUMAPOOL_OK);
        print_calls();
    }
}

/* ----------------------------------------------------------------------------------- cost */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PUTS 20u
#else
#define PUTS 2000u
#endif

/* The least of some rounds, in ns for one. */
static uint64_t cost_of(struct npi_shard *shard, bool times)
{
    uint64_t least = UINT64_MAX;
    for (unsigned round = 0; round < 5; round++) {
        struct npi_publisher publisher = {0};
        uint64_t begin = npi_clock_now_ns();
        for (unsigned i = 0; i < PUTS; i++) {
            publisher.times_next_ns = times ? 0 : UINT64_MAX;
            __real_npi_stats_page_put(&publisher, shard, 1.0, 0, false);
        }
        uint64_t one = (npi_clock_now_ns() - begin) / PUTS;
        least = one < least ? one : least;
    }
    return least;
}

/* Slots from *made on have no worker yet; a shard's control thread sleeps. */
static void set_slots(struct npi_shard *shard, uint32_t *made, uint32_t slots)
{
    for (; *made < slots; (*made)++) {
        npi_worker_init(&shard->workers[*made], shard, *made);
    }
    npi_a32_store_relaxed(&shard->slots_used, slots);
}

static void print_cost(struct npi_shard *shard, uint32_t *made)
{
    for (uint32_t slots = 1; slots <= 512; slots *= 8) {
        set_slots(shard, made, slots);
        uint32_t histograms = slots < shard->times_count ? slots : shard->times_count;
        printf("%3u workers: counters %llu ns; with %u + %u histograms %llu ns\n", slots,
               (unsigned long long)cost_of(shard, false), histograms, histograms,
               (unsigned long long)cost_of(shard, true));
    }
}

/* Large shards publish more seldom, and times more seldom than counters. */
static void publishing_is_bounded_by_size(void **state)
{
    (void)state;
    numapool *pool = make("size", "core:2 pu:1", NUMAPOOL_STATS_PAGE_ON);
    struct npi_shard *shard = pool->shards[0];
    struct page_process process;
    struct page_sample sample = {0};
    open_own(&process, 1);
    await_sleep(&sample, &process.pages[0]); /* its control thread does not write meanwhile */
    uint32_t used = npi_a32_load_relaxed(&shard->slots_used);
    struct npi_publisher publisher = {0};
    uint64_t now_ns = npi_clock_now_ns();
    npi_stats_page_publish(&publisher, shard, 1.0, now_ns);
    assert_int_equal(publisher.updates, 1);
    assert_int_equal(publisher.next_ns, now_ns + used * 20000);
    assert_int_equal(publisher.times_next_ns, now_ns + 250000000);
    npi_stats_page_publish(&publisher, shard, 1.0, now_ns + 1);
    assert_int_equal(publisher.updates, 1);
    npi_stats_page_publish(&publisher, shard, 1.0, publisher.next_ns);
    assert_int_equal(publisher.updates, 2);
    npi_stats_page_publish_last(&publisher, shard, 1.0); /* at any time */
    assert_int_equal(publisher.updates, 3);
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_OK);
    assert_int_equal(sample.shards[0].updates, 3);
    assert_int_equal(sample.shards[0].state, NUMAPOOL_PAGE_ASLEEP);
    uint32_t made = used;
    set_slots(shard, &made, 500);
    npi_stats_page_put(&publisher, shard, 1.0, now_ns, false);
    assert_int_equal(publisher.next_ns, now_ns + UINT64_C(500) * 20000);
    print_cost(shard, &made);
    npi_a32_store_relaxed(&shard->slots_used, used);
    page_sample_fini(&sample);
    page_process_close(&process);
    assert_int_equal(numapool_destroy(pool), NUMAPOOL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_beside_work_are_whole),
        cmocka_unit_test(publishing_is_bounded_by_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
