/*
 * Pages that no library of today has written: of a version to come, of one that has grown, not there
 * yet, in the middle of being written, and all that contradict themselves. The reader says so and
 * touches nothing outside them.
 */
#include "unit/core_support.h"

#include "tool/page_reader.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SHARDS 3u
#define BYTES 32768u
#define WORDS (BYTES / sizeof(uint64_t))

/* One page at a time, as a library would make it. */
static struct {
    uint64_t words[WORDS];
    int fd;
} fake;

static struct numapool_page_header *header(void)
{
    return (struct numapool_page_header *)(void *)fake.words;
}

static struct numapool_page_shard *shard_at(size_t i)
{
    char *start = (char *)fake.words;
    return (struct numapool_page_shard *)(void *)(start + header()->shard_offset +
                                                  i * header()->shard_stride);
}

static struct numapool_page_times *times_at(size_t i)
{
    char *start = (char *)fake.words;
    return (struct numapool_page_times *)(void *)(start + header()->times_offset +
                                                  i * header()->times_stride);
}

static void draw_page(void)
{
    memset(fake.words, 0, sizeof fake.words);
    *header() = (struct numapool_page_header){
        .magic = NUMAPOOL_PAGE_MAGIC,
        .version = NUMAPOOL_PAGE_VERSION,
        .header_bytes = sizeof *header(),
        .sequence = 2,
        .page_bytes = BYTES,
        .shard_offset = 512,
        .shard_stride = 640,
        .shard_bytes = sizeof(struct numapool_page_shard),
        .times_offset = 4096,
        .times_stride = 4096,
        .times_bytes = sizeof(struct numapool_page_times),
        .shard_count = SHARDS,
        .node_count = 1,
        .pid = (uint64_t)getpid(),
        .pool_id = 1,
        .tick_ns = 10000000,
        .pool_name = "fake",
        .library = "0.1.0",
    };
    for (size_t i = 0; i < SHARDS; i++) {
        shard_at(i)->sequence = 4;
        shard_at(i)->run = 100 + i;
        shard_at(i)->tasks_stuck = 7 + i;
        times_at(i)->sequence = 4;
        times_at(i)->wait.count = times_at(i)->wait.bucket[0] = 50 + i;
        times_at(i)->run.bucket[NUMAPOOL_PAGE_BUCKETS - 1] = 60 + i;
    }
}

static void show_bytes(const char *name, size_t bytes, int seals)
{
    fake.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fake.fd >= 0);
    assert_int_equal(write(fake.fd, fake.words, bytes), (ssize_t)bytes);
    assert_int_equal(fcntl(fake.fd, F_ADD_SEALS, seals), 0);
}

static void show(void)
{
    show_bytes("numapool/fake", BYTES, F_SEAL_SHRINK | F_SEAL_GROW);
}

static void hide(void)
{
    (void)close(fake.fd);
}

static enum page_result result_of(uint32_t *version)
{
    struct page_process process;
    enum page_result result = page_process_open(&process, getpid(), version);
    if (result == PAGE_OK) {
        page_process_close(&process);
    } else {
        assert_null(process.pages);
        assert_int_equal(process.count, 0);
    }
    return result;
}

static void expect(enum page_result result)
{
    show();
    enum page_result is = result_of(NULL);
    hide();
    assert_int_equal(is, result);
}

static void the_fake_is_read(void **state)
{
    (void)state;
    struct page_process process;
    struct page_sample sample = {0};
    draw_page();
    show();
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_OK);
    hide(); /* what is mapped stays */
    assert_int_equal(process.count, 1);
    assert_string_equal(process.pages[0].header.pool_name, "fake");
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_OK);
    assert_int_equal(sample.shard_count, SHARDS);
    for (size_t i = 0; i < SHARDS; i++) {
        assert_memory_equal(&sample.shards[i], shard_at(i), sizeof sample.shards[i]);
        assert_memory_equal(&sample.times[i], times_at(i), sizeof sample.times[i]);
    }
    page_sample_fini(&sample);
    page_process_close(&process);
}

/* Two pools made at the same time may be shown in another order than they are numbered in. */
static void a_pool_found_late_takes_nobodys_place(void **state)
{
    (void)state;
    struct page_process process;
    draw_page();
    header()->pool_id = 2;
    show();
    int second = fake.fd;
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_OK);
    header()->pool_id = 1;
    show();
    assert_int_equal(page_process_look_again(&process), PAGE_OK);
    assert_int_equal(process.count, 2);
    assert_int_equal(process.pages[0].header.pool_id, 2);
    assert_int_equal(process.pages[1].header.pool_id, 1);
    page_process_close(&process);
    /* Who comes now sees them in order. */
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_OK);
    hide();
    (void)close(second);
    assert_int_equal(process.count, 2);
    assert_int_equal(process.pages[0].header.pool_id, 1);
    assert_int_equal(process.pages[1].header.pool_id, 2);
    page_process_close(&process);
}

static void other_versions_are_refused(void **state)
{
    (void)state;
    for (uint32_t version = 2; version != 0; version = version * 2 + 1) {
        uint32_t told = 0;
        draw_page();
        header()->version = version;
        header()->header_bytes = 16; /* nothing else is looked at */
        show();
        assert_int_equal(result_of(&told), PAGE_NEWER);
        assert_int_equal(told, version);
        hide();
        if (version == UINT32_MAX) {
            break;
        }
    }
}

static void what_grew_is_read_as_far_as_it_is_known(void **state)
{
    (void)state;
    struct page_process process;
    struct page_sample sample = {0};
    draw_page();
    header()->header_bytes = 400;
    header()->shard_bytes = 640;
    header()->times_bytes = 4096;
    memset((char *)fake.words + sizeof *header(), 0x55, 400 - sizeof *header());
    memset(shard_at(1) + 1, 0x55, 640 - sizeof *shard_at(1));
    show();
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_OK);
    hide();
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_OK);
    for (size_t i = 0; i < SHARDS; i++) {
        assert_memory_equal(&sample.shards[i], shard_at(i), sizeof sample.shards[i]);
    }
    page_sample_fini(&sample);
    page_process_close(&process);
}

static void pages_that_are_not_there_yet_are_passed_over(void **state)
{
    (void)state;
    draw_page();
    header()->sequence = 0;
    expect(PAGE_NONE);
    header()->magic = 0;
    expect(PAGE_NONE);
    draw_page();
    header()->version = 0;
    header()->header_bytes = 0;
    expect(PAGE_NONE);
    draw_page();
    show_bytes("numapool/fake", 0, F_SEAL_SHRINK);
    assert_int_equal(result_of(NULL), PAGE_NONE);
    hide();
    show_bytes("numapool/fake", 100, F_SEAL_SHRINK);
    assert_int_equal(result_of(NULL), PAGE_NONE);
    hide();
    /* Whose size may still change: another's ftruncate() would be our SIGBUS. */
    show_bytes("numapool/fake", BYTES, F_SEAL_GROW);
    assert_int_equal(result_of(NULL), PAGE_NONE);
    hide();
}

static void others_memory_and_others_pages_are_passed_over(void **state)
{
    (void)state;
    draw_page();
    show_bytes("numapoolfake", BYTES, F_SEAL_SHRINK);
    assert_int_equal(result_of(NULL), PAGE_NONE);
    hide();
    header()->pid++; /* as in a child of fork() */
    expect(PAGE_NONE);
}

static void contradictions_are_found(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint64_t value;
    } wrong[] = {
#define WRONG(field, value) {offsetof(struct numapool_page_header, field), value}
        WRONG(magic, 1),
        WRONG(page_bytes, BYTES + 8),
        WRONG(page_bytes, UINT64_MAX),
        WRONG(page_bytes, 512),
        WRONG(shard_offset, 0),
        WRONG(shard_offset, 513),
        WRONG(shard_offset, BYTES - 8),
        WRONG(shard_offset, UINT64_MAX - 7),
        WRONG(shard_stride, 0),
        WRONG(shard_stride, 8),
        WRONG(shard_stride, 641),
        WRONG(shard_stride, BYTES),
        WRONG(shard_stride, UINT64_C(1) << 63),
        WRONG(shard_bytes, 0),
        WRONG(shard_bytes, 8),
        WRONG(shard_bytes, 648),
        WRONG(shard_bytes, sizeof(struct numapool_page_shard) + 1),
        WRONG(times_offset, BYTES),
        WRONG(times_offset, 8),
        WRONG(times_stride, 0),
        WRONG(times_stride, UINT64_MAX - 7),
        WRONG(times_bytes, 16),
        WRONG(shard_count, 0),
        WRONG(shard_count, 8),
        WRONG(shard_count, UINT64_MAX),
#undef WRONG
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        draw_page();
        fake.words[wrong[i].offset / sizeof(uint64_t)] = wrong[i].value;
        show();
        enum page_result is = result_of(NULL);
        hide();
        if (is != PAGE_BAD) {
            fail_msg("%zu: offset %zu, value %llx: %d", i, wrong[i].offset,
                     (unsigned long long)wrong[i].value, (int)is);
        }
    }
    draw_page();
    header()->header_bytes = 128;
    expect(PAGE_BAD);
    header()->header_bytes = BYTES + 8;
    expect(PAGE_BAD);
    draw_page();
    memset(header()->pool_name, 'x', sizeof header()->pool_name);
    expect(PAGE_BAD);
    static const char *const names[] = {"a b", "\x1b[2J", "\x7f", "\n", "\233J"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) { /* what a terminal would obey */
        draw_page();
        (void)snprintf(header()->pool_name, sizeof header()->pool_name, "%s", names[i]);
        expect(PAGE_BAD);
    }
    draw_page();
    memset(header()->library, 'x', sizeof header()->library);
    expect(PAGE_BAD);
}

/* Its process was stopped there; nobody waits for ever, and the sample before stays. */
static void a_page_held_in_the_middle_is_told_of(void **state)
{
    (void)state;
    struct page_process process;
    struct page_sample sample = {0};
    draw_page();
    header()->sequence = 1;
    expect(PAGE_HELD);
    draw_page();
    show();
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_OK);
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_OK);
    uint64_t odd = 5;
    size_t at = header()->shard_offset + 2 * header()->shard_stride;
    assert_int_equal(pwrite(fake.fd, &odd, sizeof odd, (off_t)at), sizeof odd);
    const struct numapool_page_shard *before = sample.shards;
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_HELD);
    assert_ptr_equal(sample.shards, before);
    assert_int_equal(sample.shards[2].run, 102);
    odd = 6;
    assert_int_equal(pwrite(fake.fd, &odd, sizeof odd, (off_t)at), sizeof odd);
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_OK);
    hide();
    page_sample_fini(&sample);
    page_process_close(&process);
}

static void phases_of_a_newer_library_count_as_closed(void **state)
{
    (void)state;
    struct page_process process;
    draw_page();
    header()->phase = 17;
    show();
    assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_OK);
    assert_int_equal(page_phase(&process.pages[0]), NUMAPOOL_PAGE_CLOSED);
    hide();
    page_process_close(&process);
}

/* A process that is gone but not reaped has ended; so has one whose number is another's now. */
static void processes_that_end_are_noticed(void **state)
{
    (void)state;
    struct page_process process;
    assert_int_equal(page_process_open(&process, 0, NULL), PAGE_NO_PROCESS);
    assert_int_equal(page_process_open(&process, -1, NULL), PAGE_NO_PROCESS);
    assert_int_equal(page_process_open(&process, 0x7fffffff, NULL), PAGE_NO_PROCESS);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        draw_page(); /* with its own number */
        show();
        for (;;) {
            (void)pause();
        }
    }
    test_watch("the child shows its page", NULL);
    while (page_process_open(&process, child, NULL) != PAGE_OK) {
        (void)sched_yield();
    }
    assert_true(page_process_alive(&process));
    struct page_process later = process;
    later.started++;
    assert_false(page_process_alive(&later));
    struct page_found *found = NULL;
    size_t count = 0, at = 0;
    assert_int_equal(page_find_all(&found, &count), PAGE_OK);
    while (at < count && found[at].pid != child) {
        at++;
    }
    assert_true(at < count);
    assert_string_equal(found[at].pools, "fake");
    assert_string_equal(found[at].command, process.command);
    free(found);
    assert_int_equal(kill(child, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_false(page_process_alive(&process));
    assert_int_equal(page_process_look_again(&process), PAGE_NO_PROCESS);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(page_process_alive(&process));
    test_watch_end();
    struct page_sample sample = {0};
    assert_int_equal(page_sample_take(&sample, &process.pages[0]), PAGE_OK);
    assert_int_equal(sample.shards[1].run, 101);
    page_sample_fini(&sample);
    page_process_close(&process);
}

/* The kernel writes a name into /proc/PID/stat as it is. */
static void a_process_may_be_called_anything(void **state)
{
    (void)state;
    struct page_process process;
    char before[17] = "";
    assert_int_equal(prctl(PR_GET_NAME, before), 0);
    draw_page();
    show();
    static const char *const names[] = {"a\nb", "\n) Z 1 2", ") X (", "\n\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(prctl(PR_SET_NAME, names[i]), 0);
        assert_int_equal(page_process_open(&process, getpid(), NULL), PAGE_OK);
        assert_true(page_process_alive(&process));
        page_process_close(&process);
    }
    assert_int_equal(prctl(PR_SET_NAME, before), 0);
    hide();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fake_is_read),
        cmocka_unit_test(a_pool_found_late_takes_nobodys_place),
        cmocka_unit_test(other_versions_are_refused),
        cmocka_unit_test(what_grew_is_read_as_far_as_it_is_known),
        cmocka_unit_test(pages_that_are_not_there_yet_are_passed_over),
        cmocka_unit_test(others_memory_and_others_pages_are_passed_over),
        cmocka_unit_test(contradictions_are_found),
        cmocka_unit_test(a_page_held_in_the_middle_is_told_of),
        cmocka_unit_test(phases_of_a_newer_library_count_as_closed),
        cmocka_unit_test(processes_that_end_are_noticed),
        cmocka_unit_test(a_process_may_be_called_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
