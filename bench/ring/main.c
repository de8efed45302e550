/*
 * numapool-ring-compare: numapool's ring beside two other ways to build a bounded many-to-many
 * queue.
 *
 * All times are compared within one round, in which every contender runs once: other users of the
 * machine then disturb all of them alike, and the median over many rounds tells them apart.
 */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY 1024
#define CONTENDERS 4
#define ROUNDS_MAX 1001
#define TURNS 100000
#define STEPS 10000
#define STEPS_STOPPED 256

static const struct contender *const contenders[CONTENDERS] = {
    &contender_claim, &contender_shard, &contender_sequence, &contender_index};
#define SHARD 1 /* what the others are held against */

struct options {
    unsigned rounds;
    uint64_t tasks;
};

static void usage(FILE *to)
{
    fputs(
        "usage: numapool-ring-compare [--rounds N] [--tasks N]\n"
        "       numapool-ring-compare --steps CONTENDER [--stopped]\n"
        "  --rounds N   rounds that are measured, at most 1001 (101)\n"
        "  --tasks N    tasks through each queue in each round (20000)\n"
        "  --steps      pushes and pops by turns and nothing else, for callgrind: 10000 of each,\n"
        "               or 256 beside a stopped producer\n"
        "contenders: claim, shard, sequence, index; bench/ring/compare.sh runs all there is\n",
        to);
}

/* Median, first and third quarter. */
static void print_spread(double *values, size_t count)
{
    double middle = median(values, count);
    printf("  %6.2f (%5.2f - %5.2f)", middle, values[count / 4], values[count * 3 / 4]);
}

typedef struct cost question(const struct contender *contender, const struct options *options,
                             unsigned detail);

static struct cost traffic(const struct contender *contender, const struct options *options,
                           unsigned producers)
{
    return measure_traffic(contender, CAPACITY, producers, 2, options->tasks);
}

static struct cost turns(const struct contender *contender, const struct options *options,
                         unsigned detail)
{
    (void)detail;
    return measure_turns(contender, CAPACITY, false, options->tasks);
}

static struct cost turns_beside_stopped(const struct contender *contender,
                                        const struct options *options, unsigned detail)
{
    (void)options;
    return measure_turns(contender, CAPACITY, true, detail);
}

static void ask(const char *name, question *ask_one, const struct options *options, unsigned detail,
                uint64_t operations)
{
    static double wall[CONTENDERS][ROUNDS_MAX], cpu[CONTENDERS][ROUNDS_MAX];
    static double each_ns[CONTENDERS][ROUNDS_MAX];
    bool refused[CONTENDERS] = {false};
    for (unsigned c = 0; c < CONTENDERS; c++) {
        (void)ask_one(contenders[c], options, detail); /* once to warm up */
    }
    for (unsigned round = 0; round < options->rounds; round++) {
        struct cost cost[CONTENDERS];
        for (unsigned i = 0; i < CONTENDERS; i++) {
            unsigned c = (round + i) % CONTENDERS; /* nobody is always first */
            cost[c] = ask_one(contenders[c], options, detail);
        }
        for (unsigned c = 0; c < CONTENDERS; c++) {
            refused[c] = refused[c] || cost[c].refused;
            wall[c][round] = (double)cost[c].wall_ns / (double)cost[SHARD].wall_ns;
            cpu[c][round] = (double)cost[c].cpu_ns / (double)cost[SHARD].cpu_ns;
            each_ns[c][round] = (double)cost[c].cpu_ns / (double)operations;
        }
    }
    printf("\n%s\n  %-10s %22s %22s %16s\n", name, "contender", "time", "CPU time",
           "CPU ns a task");
    for (unsigned c = 0; c < CONTENDERS; c++) {
        if (refused[c]) {
            printf("  %-10s %22s\n", contenders[c]->name, "refuses");
            continue;
        }
        printf("  %-10s", contenders[c]->name);
        print_spread(wall[c], options->rounds);
        print_spread(cpu[c], options->rounds);
        printf(" %16.1f\n", median(each_ns[c], options->rounds));
    }
    (void)fflush(stdout);
}

static void tell_stopped(void)
{
    printf("\na producer has stopped inside its push; capacity %d\n"
           "  %-10s %14s %14s %14s %10s\n",
           CAPACITY, "contender", "before: taken", "behind: taken", "turns go on", "room");
    for (unsigned c = 0; c < CONTENDERS; c++) {
        struct stopped_facts facts = measure_stopped(contenders[c], CAPACITY, TURNS);
        char turns_text[32] = "on and on";
        if (facts.turns < TURNS) {
            (void)snprintf(turns_text, sizeof turns_text, "%llu", (unsigned long long)facts.turns);
        }
        printf("  %-10s %9u of 8 %9u of 8 %14s %10llu\n", contenders[c]->name, facts.before,
               facts.behind, turns_text, (unsigned long long)facts.room);
    }
    printf("  afterwards its own task came out once, late, of each of them\n");
}

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    char *rest;
    *value = text == NULL ? 0 : strtoull(text, &rest, 10);
    return text != NULL && *rest == '\0' && *value >= least && *value <= most;
}

static int steps(const char *name, bool stopped)
{
    for (unsigned c = 0; c < CONTENDERS; c++) {
        if (name != NULL && strcmp(contenders[c]->name, name) == 0) {
            (void)measure_turns(contenders[c], CAPACITY, stopped, stopped ? STEPS_STOPPED : STEPS);
            return EXIT_SUCCESS;
        }
    }
    usage(stderr);
    return 2;
}

/* One option and its value; false: not understood. */
static bool set(struct options *options, const char *name, const char *text)
{
    uint64_t value;
    if (strcmp(name, "--rounds") == 0 && number(text, 1, ROUNDS_MAX, &value)) {
        options->rounds = (unsigned)value;
        return true;
    }
    if (strcmp(name, "--tasks") == 0 && number(text, 100, 1u << 30, &value)) {
        options->tasks = value;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct options options = {.rounds = 101, .tasks = 20000};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return EXIT_SUCCESS;
    }
    if (argc > 1 && strcmp(argv[1], "--steps") == 0) {
        return steps(argv[2], argc > 3 && strcmp(argv[3], "--stopped") == 0);
    }
    for (int i = 1; i < argc; i += 2) {
        if (!set(&options, argv[i], argv[i + 1])) {
            usage(stderr);
            return 2;
        }
    }
    printf("%u rounds, %llu tasks a round, capacity %d\n"
           "times as a multiple of the shard's in the same round: median (first - third quarter)\n",
           options.rounds, (unsigned long long)options.tasks, CAPACITY);
    ask("push and pop by turns, one thread", turns, &options, 0, options.tasks);
    ask("1 producer, 2 consumers", traffic, &options, 1, options.tasks);
    ask("4 producers, 2 consumers", traffic, &options, 4, options.tasks);
    tell_stopped();
    ask("push and pop by turns, one thread, beside a stopped producer", turns_beside_stopped,
        &options, STEPS_STOPPED, STEPS_STOPPED);
    return EXIT_SUCCESS;
}
