/*
 * Want of memory, at every single allocation in turn: planning, merging, loading and reading the
 * environment say so, change nothing and lose nothing (a sanitizer's leak check completes the
 * proof). The linker puts the functions below in front of the allocator, for our code only.
 */
#include "unit/topology_support.h"

#include "topology/discover.h"
#include "topology/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

static long countdown = -1; /* allocations that still succeed; -1 = all */
static bool failed;

static bool fails_now(void)
{
    if (countdown < 0)
        return false;
    if (countdown-- > 0)
        return false;
    countdown = 0; /* and from now on every one fails, as when memory is really out */
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails_now() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

/*
 * Runs an action with the first, second, ... allocation failing, until none is left to fail. Only
 * what looks at the world may do without what it could not read.
 */
static void try_all(int (*action)(void *subject), void *subject, int wanted, bool may_go_on)
{
    long rounds = 0;
    for (;; rounds++) {
        failed = false;
        countdown = rounds;
        int result = action(subject);
        countdown = -1;
        if (!failed) {
            assert_int_equal(result, NUMAPOOL_OK);
            break;
        }
        if (result != wanted && !(may_go_on && result == NUMAPOOL_OK))
            fail_msg("allocation %ld: %d", rounds, result);
        assert_true(rounds < 100000);
    }
    print_message("%ld allocations\n", rounds);
    assert_true(rounds > 0);
}

static struct npi_machine machine;

static int make_and_free(void *subject)
{
    struct npi_plan *plan = NULL;
    struct numapool_error error = {0};
    int result = npi_plan_build(&plan, &machine, subject, false, &error);
    if (result != NUMAPOOL_OK) {
        assert_null(plan);
        assert_string_equal(error.text, "out of memory");
    }
    npi_plan_free(plan);
    return result;
}

static void a_plan_is_whole_or_not_at_all(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    struct numapool_placement *placement = calloc(1, sizeof *placement);
    config.placement = placement;
    config.shards = NUMAPOOL_PER_L3;
    build_machine(&machine, 2, 2, 2, 2, 2);
    machine.cpu_limit = 3; /* joins, too */
    add_node(&machine, 9, "0");
    placement->reserve = set_of("0-1,99");
    placement->where[NPI_SAID_RESERVE] = strdup("f:1");
    try_all(make_and_free, &config, NUMAPOOL_E_NOMEM, false);

    placement->shards = calloc(2, sizeof *placement->shards);
    placement->shard_count = 2;
    placement->shards[0] =
        (struct npi_placed_shard){.cpus = set_of("2-5,70"), .node = 0, .where = strdup("f:2")};
    placement->shards[1] = (struct npi_placed_shard){
        .cpus = set_of("6-9"), .callers = set_of("10"), .node = 40, .where = strdup("f:3")};
    try_all(make_and_free, &config, NUMAPOOL_E_NOMEM, false);
    npi_placement_free(placement);
    npi_machine_fini(&machine);
}

static int merge(void *subject)
{
    struct npi_plan *plan = *(struct npi_plan **)subject;
    unsigned before = plan->shard_count;
    int result = npi_plan_merge(plan, 3);
    if (result != NUMAPOOL_OK) {
        countdown = -1;
        assert_int_equal(plan->shard_count, before);
        check_plan(plan, &machine, "not merged");
    }
    return result;
}

static void a_merge_changes_all_or_nothing(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    build_machine(&machine, 2, 4, 1, 1, 1);
    struct npi_plan *plan = plan_of(&machine, &config), *same = plan_of(&machine, &config);
    try_all(merge, &plan, NUMAPOOL_E_NOMEM, false);
    assert_int_equal(plan->shard_count, 3);
    check_plan(plan, &machine, "merged");
    assert_int_equal(npi_plan_merge(same, 3), NUMAPOOL_OK);
    assert_same_plan(plan, same, "merged after failures");
    npi_plan_free(plan);
    npi_plan_free(same);
    npi_machine_fini(&machine);
}

static int load(void *subject)
{
    struct numapool_config config = plain_config(), untouched = plain_config();
    struct numapool_error error = {0};
    int result = numapool_config_load(&config, subject, &error);
    if (result != NUMAPOOL_OK)
        assert_memory_equal(&config, &untouched, sizeof config);
    npi_placement_free(config.placement);
    return result;
}

static void a_file_is_loaded_whole_or_not_at_all(void **state)
{
    (void)state;
#ifndef NUMAPOOL_CONFIG_FILE
    skip();
#endif
    char *root = make_tree();
    char *path = npi_text_format("%s/f.conf", root);
    write_file(
        root, "/f.conf", "%s",
        "version = 1;\npool = { tick = \"20ms\"; reserve = \"0-3,8\"; machine = \"pu:4\"; };\n"
        "expect = { nodes = 1; };\n"
        "shard = ( { cpus = \"4\"; node = 0; }, { cpus = \"5\"; callers = \"6\"; } );\n");
    try_all(load, path, NUMAPOOL_E_NOMEM, false);
    free(path);
    remove_tree(root);
}

static int read_environment(void *subject)
{
    struct numapool_config config = plain_config(), untouched = plain_config();
    (void)subject;
    int result = numapool_config_env(&config, NULL);
    if (result != NUMAPOOL_OK)
        assert_memory_equal(&config, &untouched, sizeof config);
    npi_placement_free(config.placement);
    return result;
}

static void the_environment_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(setenv("NUMAPOOL_TICK", "20ms", 1), 0);
    assert_int_equal(setenv("NUMAPOOL_RESERVE", "0,70", 1), 0);
    assert_int_equal(setenv("NUMAPOOL_MACHINE", "pu:4", 1), 0);
    try_all(read_environment, NULL, NUMAPOOL_E_NOMEM, false);
    unsetenv("NUMAPOOL_TICK");
    unsetenv("NUMAPOOL_RESERVE");
    unsetenv("NUMAPOOL_MACHINE");
}

static int look_at_this_machine(void *subject)
{
    struct npi_plan *plan = NULL;
    int result = npi_plan_make(&plan, subject, NULL);
    npi_plan_free(plan);
    return result;
}

static void a_machine_is_looked_at_or_not(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    try_all(look_at_this_machine, &config, NUMAPOOL_E_NOMEM, true);
    config.machine = "pack:2 [numa] core:2 pu:2";
    try_all(look_at_this_machine, &config, NUMAPOOL_E_NOMEM, true);
}

static int write_to_nowhere(void *subject)
{
    int result = npi_plan_print_config(subject, STDOUT_FILENO);
    return result;
}

static void a_page_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    struct numapool_config config = plain_config();
    build_machine(&machine, 2, 1, 1, 1, 1);
    struct npi_plan *plan = plan_of(&machine, &config);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    assert_true(saved >= 0 && dup2(fileno(nowhere), STDOUT_FILENO) >= 0);
    try_all(write_to_nowhere, plan, NUMAPOOL_E_SYSTEM, false);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    fclose(nowhere);
    npi_plan_free(plan);
    npi_machine_fini(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_whole_or_not_at_all),
        cmocka_unit_test(a_merge_changes_all_or_nothing),
        cmocka_unit_test(a_file_is_loaded_whole_or_not_at_all),
        cmocka_unit_test(the_environment_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_machine_is_looked_at_or_not),
        cmocka_unit_test(a_page_is_written_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
