/*
 * Takes CPUs away from the machine and gives them back. Only in the emulated machine: on any other
 * every call returns -EXDEV and does nothing, whoever runs the test.
 */
#ifndef NUMAPOOL_TESTS_VM_HOTPLUG_H
#define NUMAPOOL_TESTS_VM_HOTPLUG_H

#include <stdbool.h>

/* Returns after the kernel has done it: threads pinned to the CPU have been moved by then. */
int hotplug_cpu(unsigned cpu, bool online);

#endif
