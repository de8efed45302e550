/*
 * F4: a control group takes CPUs away from a busy pool and gives them back, again and again; the
 * kernel replaces every thread's pin each time. Needs leave to make such a group, and two CPUs.
 */
#include "fault/cage.h"
#include "fault/load.h"

#include "vm/where.h"

static char all[256], few[32];

static void caged(void)
{
    MUST(cage_enter() == 0);
    for (int round = 0; round < 4; round++) {
        load_begin(&(struct load_shape){.mix = LOAD_ALL | LOAD_LEAVE, .mode = round % 2},
                   load_tasks() / 4);
        while (load_goes_on()) {
            MUST(cage_set("cpuset.cpus", few) == 0);
            pause_us(3000);
            MUST(cage_set("cpuset.cpus", all) == 0);
            pause_us(3000);
        }
        MUST(cage_set("cpuset.cpus", few) == 0);
        load_end();
        MUST(cage_set("cpuset.cpus", all) == 0);
    }
    load_report("F4", "cpuset shrinks and grows every 3 ms");
}

static void cpus_come_and_go(void **state)
{
    (void)state;
    assert_true(load_in_child(caged));
}

static bool find_cpus(void)
{
    struct where_set allowed;
    size_t length = 0;
    unsigned count = 0;
    if (where_allowed_cpus(0, &allowed) != 0) {
        return false;
    }
    for (unsigned cpu = 0; cpu < WHERE_SET_BITS && count < 16; cpu++) {
        if (where_set_has(&allowed, cpu)) {
            if (count++ == 0) {
                (void)snprintf(few, sizeof few, "%u", cpu);
            }
            length += (size_t)snprintf(all + length, sizeof all - length, "%s%u",
                                       length == 0 ? "" : ",", cpu);
        }
    }
    return count > 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cpus_come_and_go)};
    if (!LOAD_CHILDREN || !find_cpus()) {
        return load_skip("two CPUs and a child with threads", 0);
    }
    int error = cage_make("cpuset");
    if (error == 0 && (error = cage_set("cpuset.cpus", all)) != 0) {
        cage_remove();
    }
    if (error != 0) {
        return load_skip("a control group with the cpuset controller", error);
    }
    int status = FAULT_RUN(tests);
    cage_remove();
    return status;
}
