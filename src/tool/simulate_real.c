/*
 * The same arrivals offered to a real pool, and what it made of them beside what was predicted.
 *
 * Open loop: every arrival has its time, and a task's wait counts from it, whether the submitting thread
 * was on time or not. A task uses as much of its thread's CPU time and then sleeps as long as it would
 * in the simulator.
 */
#include "tool/simulate.h"
#include "tool/tool.h"

#include "base/histogram.h"
#include "sim/event.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

/* A record for each: a few hundred megabytes. */
#define ARRIVALS_MAX 4000000u

/* Tasks count relaxed: they are read when numapool_destroy() has joined whoever ran them. */
struct measured {
    struct npi_histogram wait[NPI_CLASS_COUNT], total[NPI_CLASS_COUNT];
    struct npi_histogram late; /* of the submitting thread */
    npi_a64 completed, away;
    uint64_t refused[NPI_CLASS_COUNT], offered[NPI_CLASS_COUNT];
    uint64_t end_ns; /* what ends later is not counted as completed */
};

struct job {
    struct measured *measured;
    struct sim_job work;
    uint64_t due_ns; /* CLOCK_MONOTONIC */
    int node;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t due_ns)
{
    struct timespec due = {(time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) {
    }
}

/* The kernel adds 50 us to every sleep unless a thread asks it not to. */
static void sleep_exactly(void)
{
    static __thread bool asked;
    if (!asked)
        asked = prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL) == 0;
}

static void run_job(void *arg)
{
    const struct job *job = arg;
    struct measured *measured = job->measured;
    unsigned class = job->work.task_class;
    uint64_t started_ns = clock_ns(CLOCK_MONOTONIC);
    sleep_exactly();
    if (job->work.cpu_ns > 0.0) {
        uint64_t until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + (uint64_t)job->work.cpu_ns;
        while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until) {
        }
    }
    if (job->work.block_ns > 0)
        sleep_until(clock_ns(CLOCK_MONOTONIC) + job->work.block_ns);
    uint64_t ended_ns = clock_ns(CLOCK_MONOTONIC);
    if (ended_ns > measured->end_ns)
        return;
    npi_histogram_record_shared(&measured->wait[class], started_ns - job->due_ns);
    npi_histogram_record_shared(&measured->total[class], ended_ns - job->due_ns);
    (void)npi_a64_add_relaxed(&measured->completed, 1);
    (void)npi_a64_add_relaxed(&measured->away, numapool_current_node() != job->node);
}

static size_t list_arrivals(const struct simulation *simulation, struct sim_arrival **list)
{
    const struct load *load = &simulation->load;
    size_t count = 0, space = 0;
    struct sim_source source;
    struct sim_arrival arrival;
    *list = NULL;
    sim_source_init(&source, load->loads, load->load_count, load->trace, load->trace_count,
                    simulation->plan->shard_count, load->seed);
    while (sim_source_next(&source, &arrival) && (double)arrival.at_ns <= load->seconds * 1e9 &&
           count <= ARRIVALS_MAX) {
        *list = sim_grow(*list, count, &space, sizeof **list);
        (*list)[count++] = arrival;
    }
    sim_source_fini(&source);
    return count;
}

/* Offers all of them at their times. 0, or the result of a submit that is neither accepted nor
   refused. */
static int offer(numapool *pool, const struct simulation *simulation,
                 const struct sim_arrival *arrivals, size_t count, struct job *jobs,
                 struct measured *measured)
{
    static const int classes[] = {NUMAPOOL_CRITICAL, NUMAPOOL_NORMAL, NUMAPOOL_SHEDDABLE};
    uint64_t start_ns = clock_ns(CLOCK_MONOTONIC) + 10000000;
    measured->end_ns = start_ns + (uint64_t)(simulation->load.seconds * 1e9);
    sleep_exactly();
    for (size_t i = 0; i < count; i++) {
        const struct sim_arrival *arrival = &arrivals[i];
        struct job *job = &jobs[i];
        int node = (int)simulation->plan->shards[arrival->home].node;
        *job = (struct job){measured, arrival->job, start_ns + arrival->at_ns, node};
        uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        if (now_ns < job->due_ns) {
            sleep_until(job->due_ns);
            now_ns = clock_ns(CLOCK_MONOTONIC);
        }
        npi_histogram_record(&measured->late, now_ns > job->due_ns ? now_ns - job->due_ns : 0);
        struct numapool_task task = {
            .run = run_job,
            .arg = job,
            .deadline_ns = arrival->job.deadline_ns ? job->due_ns + arrival->job.deadline_ns : 0,
            .node = node,
            .task_class = classes[arrival->job.task_class],
            .flags = NUMAPOOL_ON_NODE,
        };
        int result = numapool_submit_task(pool, &task);
        measured->offered[arrival->job.task_class]++;
        measured->refused[arrival->job.task_class] += result != NUMAPOOL_OK;
        if (result != NUMAPOOL_OK && result != NUMAPOOL_E_FULL && result != NUMAPOOL_E_SHED &&
            result != NUMAPOOL_E_DEADLINE)
            return result;
    }
    sleep_until(measured->end_ns);
    return 0;
}

static double quantile_ms(const struct npi_histogram *histograms, int task_class, unsigned permille)
{
    struct npi_histogram_sum sum = {0};
    for (int c = 0; c < NPI_CLASS_COUNT; c++)
        if (task_class < 0 || c == task_class)
            npi_histogram_add(&sum, &histograms[c]);
    return (double)npi_histogram_quantile(&sum, permille) * 1e-6;
}

/* A quantity, with the error of the prediction in percent of what was measured. */
static void print_row(const char *name, double predicted, double measured)
{
    (void)printf("%-24s %12.3f %12.3f", name, predicted, measured);
    if (measured > 0.0)
        (void)printf(" %+9.1f %%\n", 100.0 * (predicted - measured) / measured);
    else
        (void)printf(" %11s\n", predicted > 0.0 ? "-" : "none");
}

/* A share in percent: its error is a difference. */
static void print_share(const char *name, double predicted, double measured)
{
    (void)printf("%-24s %12.3f %12.3f %+9.2f points\n", name, predicted, measured,
                 predicted - measured);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static void print_comparison(const struct simulation *simulation, const struct measured *measured)
{
    const struct sim_result *result = simulation->result;
    uint64_t completed = npi_a64_load_relaxed(&measured->completed);
    uint64_t offered = 0, refused = 0, sim_refused = 0;
    int classes = 0;
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        offered += measured->offered[c];
        refused += measured->refused[c];
        sim_refused += result->refused[c];
        classes += measured->offered[c] > 0;
    }
    (void)printf("\n%-24s %12s %12s %11s\n", "against a real pool", "predicted", "measured",
                 "error");
    print_row("completed/s", (double)result->completed / result->seconds,
              (double)completed / result->seconds);
    print_share("refused, %", percent(sim_refused, result->offered), percent(refused, offered));
    print_row("wait p50, ms", simulate_wait_ms(result, -1, 500),
              quantile_ms(measured->wait, -1, 500));
    print_row("wait p99, ms", simulate_wait_ms(result, -1, 990),
              quantile_ms(measured->wait, -1, 990));
    print_row("sojourn p50, ms", simulate_total_ms(result, -1, 500),
              quantile_ms(measured->total, -1, 500));
    print_row("sojourn p99, ms", simulate_total_ms(result, -1, 990),
              quantile_ms(measured->total, -1, 990));
    size_t shards = simulation->plan->shard_count;
    if (shards > 1 && simulation->plan->node_count == shards)
        print_share("ran away from home, %", percent(result->away, result->completed),
                    percent(npi_a64_load_relaxed(&measured->away), completed));
    for (int c = 0; classes > 1 && c < NPI_CLASS_COUNT; c++) {
        char name[40];
        if (measured->offered[c] == 0)
            continue;
        (void)snprintf(name, sizeof name, "%s refused, %%", load_classes[c]);
        print_share(name, percent(result->refused[c], result->offered_by[c]),
                    percent(measured->refused[c], measured->offered[c]));
        (void)snprintf(name, sizeof name, "%s wait p99, ms", load_classes[c]);
        print_row(name, simulate_wait_ms(result, c, 990), quantile_ms(measured->wait, c, 990));
    }
    struct npi_histogram_sum late = {0};
    npi_histogram_add(&late, &measured->late);
    (void)printf(
        "The submitting thread was late by %.3f ms (median), %.3f ms (99th percentile); waits "
        "hold it.\n",
        (double)npi_histogram_quantile(&late, 500) * 1e-6,
        (double)npi_histogram_quantile(&late, 990) * 1e-6);
}

int simulate_against_real(const struct simulation *simulation, const struct numapool_config *asked)
{
    numapool *pool = NULL;
    struct numapool_error error = {0};
    if (simulation->load.change_count > 0) {
        tool_complain("--against-real: the load changes the machine, which nobody can do to a real "
                      "one; leave out `change`");
        return TOOL_USAGE;
    }
    struct sim_arrival *arrivals;
    size_t count = list_arrivals(simulation, &arrivals);
    if (count > ARRIVALS_MAX) {
        tool_complain("--against-real: the load has more than %u tasks; make it shorter",
                      ARRIVALS_MAX);
        free(arrivals);
        return TOOL_USAGE;
    }
    int result = numapool_create(&pool, asked, &error);
    if (result != NUMAPOOL_OK) {
        tool_complain("%s", error.text);
        free(arrivals);
        return TOOL_USAGE;
    }
    struct job *jobs = sim_zeroed(count, sizeof *jobs);
    struct measured *measured = sim_zeroed(1, sizeof *measured);
    (void)fflush(stdout);
    result = offer(pool, simulation, arrivals, count, jobs, measured);
    if (result != 0)
        tool_complain("a submit failed: %s", numapool_strerror(result));
    (void)numapool_destroy(pool); /* after it no task touches its job */
    if (result == 0)
        print_comparison(simulation, measured);
    free(measured);
    free(jobs);
    free(arrivals);
    return result == 0 ? TOOL_OK : TOOL_FAILED;
}
