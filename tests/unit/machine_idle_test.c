/* Idle time of processors: against another reading of /proc/stat, for sets of every kind. */
#include "unit/core_support.h"

#include "os/os.h"

#include <errno.h>

#define CPUS_MAX 4096u
#define WORDS (CPUS_MAX / 64)

/* The tested file reads the same text; this is a second, slow reader of it. 0 = no processor found.
 */
static unsigned read_idle(uint64_t idle_ns[CPUS_MAX], bool present[CPUS_MAX])
{
    unsigned count = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return 0;
    }
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        unsigned cpu;
        unsigned long long idle, iowait;
        if (sscanf(line, "cpu%u %*u %*u %*u %llu %llu", &cpu, &idle, &iowait) == 3 &&
            cpu < CPUS_MAX) {
            idle_ns[cpu] = (idle + iowait) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
            present[cpu] = true;
            count++;
        }
    }
    free(line);
    (void)fclose(file);
    return count;
}

static uint64_t before_ns[CPUS_MAX], after_ns[CPUS_MAX];
static bool present[CPUS_MAX];

/* The kernel may take back iowait, so that a sum is not within two readings; rarely twice. */
static void check_set(const uint64_t words[WORDS], size_t word_count)
{
    for (int attempt = 0;; attempt++) {
        uint64_t low = 0, high = 0, idle_ns = 0;
        bool any = false;
        assert_true(read_idle(before_ns, present) != 0);
        int result = npi_machine_idle_ns(words, word_count, &idle_ns);
        assert_true(read_idle(after_ns, present) != 0);
        for (unsigned cpu = 0; cpu < word_count * 64; cpu++) {
            if (present[cpu] && (words[cpu / 64] >> cpu % 64 & 1) != 0) {
                low += before_ns[cpu];
                high += after_ns[cpu];
                any = true;
            }
        }
        assert_int_equal(result, any ? 0 : -ENOENT);
        if (!any || (idle_ns >= low && idle_ns <= high)) {
            return;
        }
        assert_true(attempt < 50);
    }
}

static int kernel_tells(void **state)
{
    (void)state;
    if (read_idle(before_ns, present) == 0) {
        printf("skipped: /proc/stat names no processor\n");
        exit(77);
    }
    return 0;
}

static void each_processor_alone(void **state)
{
    (void)state;
    for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (present[cpu]) {
            uint64_t words[WORDS] = {0};
            words[cpu / 64] = UINT64_C(1) << cpu % 64;
            check_set(words, WORDS);
        }
    }
}

static void sets_of_processors(void **state)
{
    (void)state;
    struct npi_prng prng;
    npi_prng_seed(&prng, test_seed());
    for (int turn = 0; turn < 100; turn++) {
        uint64_t words[WORDS];
        for (size_t i = 0; i < WORDS; i++) {
            words[i] = turn == 0 ? UINT64_MAX : npi_prng_next(&prng);
        }
        check_set(words, turn % 3 == 0 ? WORDS : 1);
    }
}

static void sets_without_a_processor(void **state)
{
    (void)state;
    uint64_t words[WORDS] = {0}, idle_ns = 12345;
    assert_int_equal(npi_machine_idle_ns(words, WORDS, &idle_ns), -ENOENT);
    for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!present[cpu]) {
            words[cpu / 64] |= UINT64_C(1) << cpu % 64;
        }
    }
    assert_int_equal(npi_machine_idle_ns(words, WORDS, &idle_ns), -ENOENT);
    memset(words, 0xff, sizeof words);
    assert_int_equal(npi_machine_idle_ns(words, 0, &idle_ns), -ENOENT);
    assert_int_equal(idle_ns, 12345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_processor_alone),
        cmocka_unit_test(sets_of_processors),
        cmocka_unit_test(sets_without_a_processor),
    };
    return cmocka_run_group_tests(tests, kernel_tells, NULL);
}
