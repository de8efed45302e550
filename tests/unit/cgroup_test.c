/*
 * Limits of control groups read from trees made here: both versions, both at once, nested, seen
 * from inside a container, and with everything missing.
 */
#include "unit/topology_support.h"

#include "topology/cgroup.h"

#include <stdlib.h>

static char *root;

static int make_root(void **state)
{
    (void)state;
    root = make_tree();
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    remove_tree(root);
    return 0;
}

static void expect_cpus(double wanted)
{
    assert_float_equal(npi_cgroup_cpu_limit(root), wanted, 1e-9);
}

static void expect_room(uint64_t wanted)
{
    uint64_t bytes = 0;
    assert_true(npi_cgroup_memory_room(root, &bytes));
    assert_int_equal(bytes, wanted);
}

static void expect_no_room(void)
{
    uint64_t bytes = 77;
    assert_false(npi_cgroup_memory_room(root, &bytes));
    assert_int_equal(bytes, 77);
}

#define V2_MOUNT "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

static void nothing_there_is_no_limit(void **state)
{
    (void)state;
    expect_cpus(0);
    expect_no_room();
    write_file(root, "/proc/self/cgroup", "0::/a\n");
    expect_cpus(0);
    write_file(root, "/proc/self/mountinfo", "not a mount\n\n - \n1 2 3\n");
    expect_cpus(0);
    write_file(root, "/proc/self/mountinfo", V2_MOUNT); /* mounted, but no file in it */
    expect_cpus(0);
    expect_no_room();
}

static void the_tightest_ancestor_counts(void **state)
{
    (void)state;
    write_file(root, "/proc/self/cgroup", "0::/a/b/c\n");
    write_file(root, "/proc/self/mountinfo", V2_MOUNT);
    write_file(root, "/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    expect_cpus(0);
    write_file(root, "/sys/fs/cgroup/a/cpu.max", "400000 100000\n");
    expect_cpus(4);
    write_file(root, "/sys/fs/cgroup/a/b/cpu.max", "50000 20000\n");
    expect_cpus(2.5);
    write_file(root, "/sys/fs/cgroup/a/b/c/cpu.max", "900000 100000\n");
    expect_cpus(2.5);
    write_file(root, "/sys/fs/cgroup/a/b/c/cpu.max", "10000 100000\n");
    expect_cpus(0.1);
    write_file(root, "/sys/fs/cgroup/cpu.max", "5000 100000\n"); /* a container's own top */
    expect_cpus(0.05);
}

static void memory_room_is_limit_minus_use(void **state)
{
    (void)state;
    write_file(root, "/proc/self/cgroup", "0::/a/b\n");
    write_file(root, "/proc/self/mountinfo", V2_MOUNT);
    write_file(root, "/sys/fs/cgroup/a/b/memory.max", "max\n");
    write_file(root, "/sys/fs/cgroup/a/b/memory.current", "1000\n");
    expect_no_room();
    write_file(root, "/sys/fs/cgroup/a/memory.max", "5000\n");
    write_file(root, "/sys/fs/cgroup/a/memory.current", "2000\n");
    expect_room(3000);
    write_file(root, "/sys/fs/cgroup/a/b/memory.max", "1500\n");
    expect_room(500);
    write_file(root, "/sys/fs/cgroup/a/b/memory.current", "1600\n"); /* over its limit */
    expect_room(0);
}

static void version_1_says_it_in_two_files(void **state)
{
    (void)state;
    write_file(root, "/proc/self/cgroup",
               "9:name=systemd:/x\n4:memory:/m/n\n3:cpuset,cpu,cpuacct:/docker/one\n0::/\n");
    write_file(root, "/proc/self/mountinfo",
               "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
               "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
               "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
               "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
               "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    write_file(root, "/sys/fs/cgroup/cpu,cpuacct/docker/one/cpu.cfs_quota_us", "-1\n");
    write_file(root, "/sys/fs/cgroup/cpu,cpuacct/docker/one/cpu.cfs_period_us", "100000\n");
    expect_cpus(0);
    write_file(root, "/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "150000\n");
    write_file(root, "/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
    expect_cpus(1.5);
    /* Both versions at once: the tighter one. */
    write_file(root, "/sys/fs/cgroup/unified/cpu.max", "120000 100000\n");
    expect_cpus(1.2);
    write_file(root, "/sys/fs/cgroup/memory/m/n/memory.limit_in_bytes", "9223372036854771712\n");
    write_file(root, "/sys/fs/cgroup/memory/m/n/memory.usage_in_bytes", "4096\n");
    expect_no_room();
    write_file(root, "/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "8192\n");
    write_file(root, "/sys/fs/cgroup/memory/m/memory.usage_in_bytes", "4096\n");
    expect_room(4096);
}

static void a_container_sees_its_own_group_as_the_top(void **state)
{
    (void)state;
    /* No group namespace: the path is the host's, the mount shows only our part of it. */
    write_file(root, "/proc/self/cgroup", "0::/kube/pod7/app\n");
    write_file(root, "/proc/self/mountinfo",
               "29 23 0:26 /kube/pod7 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    write_file(root, "/sys/fs/cgroup/app/cpu.max", "max 100000\n");
    write_file(root, "/sys/fs/cgroup/cpu.max", "300000 100000\n");
    expect_cpus(3);
    /* A group namespace, and we were moved out of it: only the top is left to read. */
    write_file(root, "/proc/self/cgroup", "0::/../elsewhere\n");
    expect_cpus(3);
    /* A path that merely begins with the same letters is not below the mount. */
    write_file(root, "/proc/self/cgroup", "0::/kube/pod77\n");
    write_file(root, "/sys/fs/cgroup/7/cpu.max", "1000 100000\n");
    expect_cpus(3);
    /* Exactly the mounted group. */
    write_file(root, "/proc/self/cgroup", "0::/kube/pod7\n");
    expect_cpus(3);
}

static void mount_points_may_have_blanks(void **state)
{
    (void)state;
    write_file(root, "/proc/self/cgroup", "0::/a\n");
    write_file(root, "/proc/self/mountinfo",
               "29 23 0:26 / /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n");
    write_file(root, "/mnt/my groups/a/cpu.max", "70000 10000\n");
    expect_cpus(7);
}

static void nonsense_is_no_limit(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "max",
                                        "100000",
                                        "0 100000",
                                        "100000 0",
                                        "-1 100",
                                        "1e5 100000",
                                        "100000 x",
                                        "99999999999999999999999 100000",
                                        "100000,100000",
                                        " 1 2"};
    write_file(root, "/proc/self/cgroup", "0::/\n");
    write_file(root, "/proc/self/mountinfo", V2_MOUNT);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file(root, "/sys/fs/cgroup/cpu.max", "%s\n", texts[i]);
        expect_cpus(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_there_is_no_limit, make_root, remove_root),
        cmocka_unit_test_setup_teardown(the_tightest_ancestor_counts, make_root, remove_root),
        cmocka_unit_test_setup_teardown(memory_room_is_limit_minus_use, make_root, remove_root),
        cmocka_unit_test_setup_teardown(version_1_says_it_in_two_files, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_container_sees_its_own_group_as_the_top, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(mount_points_may_have_blanks, make_root, remove_root),
        cmocka_unit_test_setup_teardown(nonsense_is_no_limit, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
