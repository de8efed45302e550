/*
 * F5: CPUs of a busy pool go offline and come back. Only in the emulated machine with two CPUs per
 * node, which no mistake can hurt; elsewhere cpuset_fault_test stands in.
 */
#include "fault/load.h"

#include "vm/hotplug.h"
#include "vm/where.h"

static unsigned times;

static void plug(unsigned round, uint64_t tasks)
{
    load_begin(&(struct load_shape){.mix = LOAD_ALL | LOAD_LEAVE, .mode = (int)(round % 2)}, tasks);
    unsigned least = times + 5;
    while (load_goes_on() || times < least) {
        unsigned cpu = 2 + times++ % 6; /* all but the first node's: one of them cannot go */
        MUST(hotplug_cpu(cpu, false) == 0);
        pause_us(2000);
        MUST(hotplug_cpu(cpu, true) == 0);
    }
    load_end();
}

static void cpus_go_offline(void **state)
{
    (void)state;
    load_rounds(plug);
    printf("%u times a CPU went offline and came back\n", times);
    load_report("F5", "CPUs go offline and come back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cpus_go_offline)};
    if (where_guest_shape() == NULL || strcmp(where_guest_shape(), "square") != 0) {
        return load_skip("the emulated machine of shape square", 0);
    }
    return FAULT_RUN(tests);
}
