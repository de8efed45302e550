/* Statistics: what adds up, what only grows, and the texts for Prometheus and for people. */
#include "contract.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

/* ----------------------------------------------------------------------- what adds up */

static void hold_a_while(void *arg)
{
    (void)arg;
    rest();
}

/* A bit of everything: forwarding, stealing, refusals, drops, threads that end. */
static void stir(numapool *pool, unsigned nodes, int count)
{
    numapool_group *group = NULL;
    assert_int_equal(numapool_group_create(&group, pool), NUMAPOOL_OK);
    static struct fate fate;
    uint64_t seed = seed_of_run();
    for (int i = 0; i < count; i++) {
        uint32_t bits = draw(&seed);
        struct numapool_task task = fate_task(&fate);
        if (bits % 16 == 0) {
            task.run = hold_a_while;
        }
        task.task_class = (int)(bits >> 4) % NUMAPOOL_CLASSES;
        task.node = (int)((bits >> 8) % nodes) & (int)(bits >> 12);
        task.flags = bits >> 16 & (NUMAPOOL_ON_NODE | NUMAPOOL_STRICT_NODE | NUMAPOOL_DROP_OK);
        task.bytes = (bits >> 20) % 4 == 0 ? (bits >> 22) * 100 : 0;
        task.deadline_ns = (bits >> 24) % 8 == 0 ? now_ns() + (bits >> 27) * 100000 : 0;
        task.group = i > count / 2 && (bits >> 28) % 2 ? group : NULL;
        (void)!numapool_submit_task(pool, &task);
        if (i == count * 3 / 4) {
            assert_int_equal(numapool_group_cancel(group), NUMAPOOL_OK);
        }
    }
    assert_int_equal(numapool_group_destroy(group), NUMAPOOL_OK);
}

static uint64_t refused_of(const struct numapool_shard_stats *s)
{
    return s->refused_full + s->refused_shed + s->refused_deadline + s->refused_bytes +
           s->refused_other;
}

/* At rest means workers too: one that was called for help may come when the work is done. */
static bool read_at_rest(numapool *pool, struct numapool_stats *all,
                         struct numapool_shard_stats *shards)
{
    bool quiet = at_rest(pool) && stats_of(pool).workers_running == 0;
    *all = stats_of(pool);
    for (size_t i = 0; i < numapool_shard_count(pool); i++) {
        shards[i] = shard_stats_of(pool, i);
        /* A thread on its way out is no worker any more, and counts its end when it is there. */
        quiet = quiet && shards[i].workers == shards[i].threads_started - shards[i].threads_exited;
    }
    struct numapool_stats after = stats_of(pool);
    return quiet && after.workers_running == 0 && memcmp(all, &after, sizeof after) == 0;
}

static void the_numbers_add_up_at_rest(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 8; nodes *= 2) {
        for (int mode = 0; mode < 2; mode++) {
            numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                                 .workers_max = 8,
                                                 .queue_tasks = 64 * nodes,
                                                 .mode = mode,
                                                 .memory_bytes = UINT64_C(1) << 20});
            stir(pool, nodes, TIMES(4000, 800));
            struct numapool_shard_stats shards[8];
            struct numapool_stats all;
            EVENTUALLY(read_at_rest(pool, &all, shards));
            struct numapool_shard_stats sum = {.struct_size = sizeof sum};
            for (unsigned i = 0; i < nodes; i++) {
                struct numapool_shard_stats one = shards[i];
                assert_int_equal(one.submitted, one.accepted + refused_of(&one));
                /* A shard runs what it took in, less what others took from it. */
                assert_int_equal(one.accepted + one.forwarded_in + one.stolen_in,
                                 one.run + one.dropped + one.forwarded_out + one.stolen_out);
                assert_int_equal(one.queue_depth, 0);
                assert_int_equal(one.workers_blocked, 0);
                assert_int_equal(one.workers, one.workers_parked);
                assert_int_equal(one.queue_capacity, 64);
                assert_int_equal(one.node, i);
                assert_true(one.quota >= 1 && one.cap >= 1);
                assert_true(one.wait_p50_ns <= one.wait_p99_ns);
                assert_true(one.wait_p99_ns <= one.wait_p999_ns);
                assert_true(one.run_p50_ns <= one.run_p99_ns);
                assert_true(one.run_p99_ns <= one.run_p999_ns);
#define ADD(name, kind, text) sum.name += one.name;
                NUMAPOOL_STATS_FIELDS(ADD)
#undef ADD
            }
            assert_int_equal(all.accepted, all.run + all.dropped);
            assert_int_equal(all.forwarded_in, all.forwarded_out);
            assert_int_equal(all.stolen_in, all.stolen_out);
            assert_int_equal(all.submitted, sum.submitted);
            assert_int_equal(all.accepted, sum.accepted);
            assert_int_equal(all.run, sum.run);
            assert_int_equal(all.dropped, sum.dropped);
            assert_int_equal(all.refused_full, sum.refused_full);
            assert_int_equal(all.refused_shed, sum.refused_shed);
            assert_int_equal(all.refused_deadline, sum.refused_deadline);
            assert_int_equal(all.refused_bytes, sum.refused_bytes);
            assert_int_equal(all.refused_other, sum.refused_other);
            assert_int_equal(all.forwarded_in, sum.forwarded_in);
            assert_int_equal(all.forwarded_out, sum.forwarded_out);
            assert_int_equal(all.stolen_in, sum.stolen_in);
            assert_int_equal(all.stolen_out, sum.stolen_out);
            assert_int_equal(all.queue_depth, sum.queue_depth);
            assert_int_equal(all.queue_capacity, sum.queue_capacity);
            assert_int_equal(all.workers, sum.workers);
            assert_int_equal(all.workers_parked, sum.workers_parked);
            assert_int_equal(all.wakes, sum.wakes);
            assert_int_equal(all.wakes_spurious, sum.wakes_spurious);
            assert_int_equal(all.threads_started, sum.threads_started);
            assert_int_equal(all.threads_exited, sum.threads_exited);
            assert_int_equal(all.bytes_in_use, 0);
            assert_true(all.quota <= 8);
            assert_int_equal(all.bind_denied, 0); /* nothing of that machine is bound here */
            finish(pool);
        }
    }
}

static void times_are_those_of_the_tasks(void **state)
{
    (void)state;
    struct blocker blocker = BLOCKER;
    numapool *pool = make(&(struct kind){.workers_max = 1, .mode = NUMAPOOL_FIXED});
    struct numapool_stats before = stats_of(pool);
    assert_int_equal(before.run_max_ns, 0);
    assert_int_equal(before.wait_max_ns, 0);
    assert_int_equal(before.wait_p50_ns, 0);
    block_workers(pool, &blocker, 1);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(numapool_submit(pool, hold_a_while, NULL), NUMAPOOL_OK);
    }
    uint64_t submitted_ns = now_ns();
    EVENTUALLY(now_ns() - submitted_ns > 20 * MS);
    door_open(&blocker.door);
    EVENTUALLY(at_rest(pool));
    struct numapool_stats after = stats_of(pool);
    assert_true(after.run_p50_ns >= 500000); /* what rest() sleeps at least */
    assert_true(after.run_max_ns >= 20 * MS);
    assert_true(after.wait_p50_ns >= 20 * MS);
    assert_true(after.wait_max_ns >= 20 * MS);
    assert_true(after.wait_p50_ns <= after.wait_p99_ns && after.wait_p99_ns <= after.wait_p999_ns);
    /* At most 1/32 above the true one, and the largest is itself. */
    assert_true(after.run_p999_ns <= after.run_max_ns + after.run_max_ns / 32 + 1);
    assert_true(after.wait_p999_ns <= after.wait_max_ns + after.wait_max_ns / 32 + 1);
    finish(pool);
}

/* ------------------------------------------------------------------------- what only grows */

struct reader {
    numapool *pool;
    atomic_bool stop;
};

static void check_growth(const struct numapool_shard_stats *before,
                         const struct numapool_shard_stats *after)
{
#define counter 1
#define gauge 0
#define GROWS(name, kind, text) CHECK(!(kind) || after->name >= before->name);
    NUMAPOOL_STATS_FIELDS(GROWS)
#undef GROWS
#undef counter
#undef gauge
}

static void *read_all_the_time(void *arg)
{
    struct reader *reader = arg;
    struct numapool_shard_stats before[8], all_before;
    memset(before, 0, sizeof before);
    memset(&all_before, 0, sizeof all_before);
    do {
        for (size_t i = 0; i < numapool_shard_count(reader->pool); i++) {
            struct numapool_shard_stats now = shard_stats_of(reader->pool, i);
            check_growth(&before[i], &now);
            CHECK(now.queue_depth <= now.queue_capacity);
            before[i] = now;
        }
        struct numapool_stats totals = stats_of(reader->pool);
        struct numapool_shard_stats all_now;
        memset(&all_now, 0, sizeof all_now);
#define COPY(name, kind, text) all_now.name = totals.name;
        NUMAPOOL_STATS_FIELDS(COPY)
#undef COPY
        check_growth(&all_before, &all_now);
        all_before = all_now;
    } while (!atomic_load(&reader->stop));
    return NULL;
}

struct feeder {
    numapool *pool;
    unsigned nodes;
    int count;
    uint64_t seed;
};

/* Nearly all of it to one node: the rest is forwarded or stolen. */
static void *feed_one_node(void *arg)
{
    struct feeder *feeder = arg;
    for (int i = 0; i < feeder->count; i++) {
        uint32_t bits = draw(&feeder->seed);
        static atomic_int ran;
        struct numapool_task task = {.run = bits % 64 == 0 ? hold_a_while : count_run,
                                     .arg = &ran,
                                     .flags = NUMAPOOL_ON_NODE,
                                     .node =
                                         bits >> 8 & 15 ? 0 : (int)((bits >> 12) % feeder->nodes)};
        if (numapool_submit_task(feeder->pool, &task) != NUMAPOOL_OK && bits % 8 == 0) {
            rest();
        }
    }
    return NULL;
}

static void counters_only_grow(void **state)
{
    (void)state;
    for (unsigned nodes = 2; nodes <= 8; nodes *= 2) {
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes),
                                             .workers_max = 2 * nodes,
                                             .queue_tasks = 16 * nodes,
                                             .mode = NUMAPOOL_FIXED});
        struct reader readers[2] = {{.pool = pool}, {.pool = pool}};
        struct feeder feeders[2];
        pthread_t threads[4];
        for (int i = 0; i < 2; i++) {
            feeders[i] =
                (struct feeder){pool, nodes, TIMES(60000, 3000), seed_of_run() + (uint64_t)i};
            assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &readers[i]), 0);
            assert_int_equal(pthread_create(&threads[2 + i], NULL, feed_one_node, &feeders[i]), 0);
        }
        pthread_join(threads[2], NULL);
        pthread_join(threads[3], NULL);
        for (int i = 0; i < 2; i++) {
            atomic_store(&readers[i].stop, true);
            pthread_join(threads[i], NULL);
        }
        EVENTUALLY(at_rest(pool));
        struct numapool_stats stats = stats_of(pool);
        assert_true(stats.forwarded_in + stats.stolen_in > 0);
        finish(pool);
    }
}

/* ----------------------------------------------------------------------------- Prometheus */

struct family {
    char name[80], kind[16];
    bool helped;
};

struct checker {
    struct family families[100];
    int count;
    struct family *current;
    int samples;
    char seen[4000][200]; /* name and labels */
    double last_bucket;
    double run_total, accepted_total;
    double run_count; /* of the histogram */
};

static const char *name_end(const char *at)
{
    if (!isalpha((unsigned char)*at) && *at != '_' && *at != ':') {
        return at;
    }
    while (isalnum((unsigned char)*at) || *at == '_' || *at == ':') {
        at++;
    }
    return at;
}

static void check_comment(struct checker *checker, const char *line)
{
    char word[8], name[80];
    int used = 0;
    assert_int_equal(sscanf(line, "# %7s %79s %n", word, name, &used), 2);
    assert_true(*name_end(name) == '\0');
    if (strcmp(word, "HELP") == 0) {
        for (int i = 0; i < checker->count; i++) { /* once per name */
            assert_string_not_equal(checker->families[i].name, name);
        }
        assert_true(checker->count < 100);
        checker->current = &checker->families[checker->count++];
        strcpy(checker->current->name, name);
        checker->current->helped = strlen(line + used) > 0;
        assert_true(checker->current->helped);
        return;
    }
    assert_string_equal(word, "TYPE");
    assert_non_null(checker->current);
    assert_string_equal(checker->current->name, name); /* right behind its HELP */
    assert_int_equal(sscanf(line + used, "%15s", checker->current->kind), 1);
    const char *kind = checker->current->kind;
    assert_true(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0 ||
                strcmp(kind, "histogram") == 0);
    size_t length = strlen(name);
    bool total = length > 6 && strcmp(name + length - 6, "_total") == 0;
    assert_int_equal(total, strcmp(kind, "counter") == 0);
    assert_true(strncmp(name, "numapool_", 9) == 0);
    assert_null(strstr(name, "_ns")); /* base units only */
}

/* Reads {a="b",c="d"}; returns what is behind it. */
static const char *check_labels(const char *at, char *bound, size_t bound_size)
{
    assert_true(*at == '{');
    do {
        at++;
        const char *name = at, *end = name_end(at);
        assert_true(end > at && end[0] == '=' && end[1] == '"');
        const char *value = end + 2;
        at = value;
        while (*at != '"') {
            assert_true(*at != '\0' && *at != '\n');
            at += *at == '\\' ? 2 : 1;
        }
        if (strncmp(name, "le=", 3) == 0) {
            assert_true((size_t)(at - value) < bound_size);
            memcpy(bound, value, (size_t)(at - value));
            bound[at - value] = '\0';
        }
        at++;
    } while (*at == ',');
    assert_true(*at == '}');
    return at + 1;
}

static void check_sample(struct checker *checker, const char *line)
{
    const char *end = name_end(line);
    assert_true(end > line && (*end == '{' || *end == ' '));
    char name[80], bound[32] = "";
    assert_true((size_t)(end - line) < sizeof name);
    memcpy(name, line, (size_t)(end - line));
    name[end - line] = '\0';
    const char *after = *end == '{' ? check_labels(end, bound, sizeof bound) : end;

    assert_true(checker->samples < 4000 && (size_t)(after - line) < sizeof checker->seen[0]);
    char *seen = checker->seen[checker->samples];
    memcpy(seen, line, (size_t)(after - line));
    seen[after - line] = '\0';
    for (int i = 0; i < checker->samples; i++) {
        assert_string_not_equal(checker->seen[i], seen);
    }
    checker->samples++;

    assert_true(*after == ' ');
    char *rest_of_line = NULL;
    errno = 0;
    double value = strtod(after + 1, &rest_of_line);
    assert_true(rest_of_line > after + 1 && *rest_of_line == '\0' && errno == 0);
    assert_true(isfinite(value) && value >= 0.0 && value < 1e18);

    const struct family *family = checker->current;
    assert_non_null(family);
    size_t stem = strlen(family->name);
    assert_true(strncmp(name, family->name, stem) == 0);
    const char *suffix = name + stem;
    if (strcmp(family->kind, "histogram") != 0) {
        assert_string_equal(suffix, "");
    } else if (strcmp(suffix, "_bucket") == 0) {
        double limit = strcmp(bound, "+Inf") == 0 ? HUGE_VAL : strtod(bound, NULL);
        assert_true(limit > 0.0);
        assert_true(value >= checker->last_bucket); /* cumulative */
        checker->last_bucket = limit == HUGE_VAL ? 0.0 : value;
    } else {
        assert_true(strcmp(suffix, "_sum") == 0 || strcmp(suffix, "_count") == 0);
    }
    if (strcmp(name, "numapool_run_total") == 0) {
        checker->run_total += value;
    } else if (strcmp(name, "numapool_accepted_total") == 0) {
        checker->accepted_total += value;
    } else if (strcmp(name, "numapool_run_seconds_count") == 0) {
        checker->run_count += value;
    }
}

static void check_text(struct checker *checker, char *text)
{
    size_t length = strlen(text);
    assert_true(length > 0 && text[length - 1] == '\n');
    char *line = text, *end;
    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        assert_true(*line != '\0');
        if (*line == '#') {
            check_comment(checker, line);
        } else {
            check_sample(checker, line);
        }
        line = end + 1;
    }
    assert_true(*line == '\0');
}

static void the_prometheus_text_is_well_formed(void **state)
{
    (void)state;
    static struct checker checker;
    for (unsigned nodes = 1; nodes <= 4; nodes *= 2) {
        numapool *pool = make(&(struct kind){
            .machine = machine_of(nodes), .workers_max = 8, .queue_tasks = 64 * nodes});
        for (int full = 0; full < 2; full++) {
            if (full) {
                stir(pool, nodes, 2000);
                EVENTUALLY(at_rest(pool) && stats_of(pool).workers_running == 0);
            }
            size_t needed = 0;
            assert_int_equal(numapool_stats_prometheus(pool, NULL, 0, &needed), NUMAPOOL_OK);
            assert_true(needed > 1);
            char *text = NULL;
            int result;
            do { /* a number may become longer between the two calls */
                text = realloc(text, needed);
                assert_non_null(text);
                result = numapool_stats_prometheus(pool, text, needed, &needed);
            } while (result == NUMAPOOL_E_INVALID);
            assert_int_equal(result, NUMAPOOL_OK);
            assert_int_equal(strlen(text) + 1, needed);
            memset(&checker, 0, sizeof checker);
            check_text(&checker, text);
            free(text);

            int fields = 0;
#define COUNT_FIELD(name, kind, text) fields++;
            NUMAPOOL_STATS_FIELDS(COUNT_FIELD)
#undef COUNT_FIELD
            assert_int_equal(checker.count, fields + 2); /* and two histograms */
            struct numapool_stats stats = stats_of(pool);
            assert_int_equal((uint64_t)checker.run_total, stats.run);
            assert_int_equal((uint64_t)checker.run_count, stats.run);
            assert_int_equal((uint64_t)checker.accepted_total, stats.accepted);
        }
        finish(pool);
    }
}

static void a_short_buffer_is_never_overrun(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.workers_max = 1});
    EVENTUALLY(stats_of(pool).workers_running == 0);
    size_t needed = 0;
    assert_int_equal(numapool_stats_prometheus(pool, NULL, 0, &needed), NUMAPOOL_OK);
    size_t room = needed + 64;
    unsigned char *text = malloc(room);
    assert_non_null(text);
    for (size_t size = 0; size <= needed + 1; size += size < 50 || size + 50 > needed ? 1 : 37) {
        memset(text, 0x5a, room);
        size_t again = 0;
        int result = numapool_stats_prometheus(pool, (char *)text, size, &again);
        assert_int_equal(result, size >= again ? NUMAPOOL_OK : NUMAPOOL_E_INVALID);
        for (size_t at = size; at < room; at++) {
            assert_int_equal(text[at], 0x5a);
        }
        assert_int_equal(numapool_stats_prometheus(pool, (char *)text, size, NULL), result);
    }
    free(text);
    finish(pool);
}

/* ------------------------------------------------------------------------------ the plan */

static void the_plan_is_written_for_people(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 16; nodes *= 4) {
        numapool *pool = make(&(struct kind){.machine = machine_of(nodes), .workers_max = 16});
        FILE *file = tmpfile();
        assert_non_null(file);
        assert_int_equal(numapool_plan_write(pool, fileno(file)), NUMAPOOL_OK);
        rewind(file);
        char line[1000];
        unsigned shards = 0, lines = 0;
        while (fgets(line, sizeof line, file) != NULL) {
            assert_non_null(strchr(line, '\n'));
            lines++;
            shards += strncmp(line, "shard ", 6) == 0;
        }
        fclose(file);
        assert_true(lines > nodes);
        assert_int_equal(shards, nodes);
        finish(pool);
    }
}

struct pipe_reader {
    int fd;
    size_t bytes;
};

static void *read_slowly(void *arg)
{
    struct pipe_reader *reader = arg;
    char piece[100];
    ssize_t length;
    while ((length = read(reader->fd, piece, sizeof piece)) > 0) {
        reader->bytes += (size_t)length;
    }
    return NULL;
}

static void the_plan_goes_through_a_pipe(void **state)
{
    (void)state;
    numapool *pool = make(&(struct kind){.machine = machine_of(16), .workers_max = 16});
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct pipe_reader reader = {.fd = ends[0]};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
    size_t once = 0;
    for (int i = 0; i < 50; i++) { /* more than a pipe holds */
        assert_int_equal(numapool_plan_write(pool, ends[1]), NUMAPOOL_OK);
    }
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
    assert_int_equal(reader.bytes % 50, 0);
    once = reader.bytes / 50;
    assert_true(once > 100);
    finish(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_add_up_at_rest),
        cmocka_unit_test(times_are_those_of_the_tasks),
        cmocka_unit_test(counters_only_grow),
        cmocka_unit_test(the_prometheus_text_is_well_formed),
        cmocka_unit_test(a_short_buffer_is_never_overrun),
        cmocka_unit_test(the_plan_is_written_for_people),
        cmocka_unit_test(the_plan_goes_through_a_pipe),
    };
    return RUN(tests);
}
