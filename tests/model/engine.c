/* Choices: the search over them, random ones, and a given list of them. */
#include "model/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRAIL 16384
#define OPTIONS 16
#define RANDOM_BUDGET 5

/* One choice of the execution that runs, in order. */
struct choice {
    uint32_t step;
    char kind;
    uint8_t count, taken;
    uint8_t values[OPTIONS];
};

struct run run;

static enum { SEARCH, RANDOM, REPLAY } mode;
static struct choice trail[TRAIL];
static unsigned trail_used; /* choices made by the execution that runs */
static unsigned trail_kept; /* those that are given, by the search */
static uint64_t random_state;
static const char *replay_next;
static unsigned reached;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % below;
}

/* Most options cost something or end a run of steps: the first is taken mostly. */
static unsigned draw_option(char kind, unsigned n)
{
    if (kind == 'r') {
        return draw(n);
    }
    return draw(kind == 'f' || kind == 'z' ? 8 : 12) != 0 ? 0 : draw(n);
}

/* The next deviation of the string, when it is this choice's; else option 0. */
static unsigned replayed(char kind, unsigned n, const uint8_t *values)
{
    char *after;
    unsigned long step = strtoul(replay_next, &after, 10);
    if (after == replay_next || step != run.step || *after != kind) {
        return 0;
    }
    unsigned long value = strtoul(after + 1, &after, 10);
    for (unsigned i = 1; i < n; i++) {
        if (values[i] == value) {
            replay_next = *after == ',' ? after + 1 : after;
            return i;
        }
    }
    return 0;
}

unsigned choose(char kind, unsigned n, const uint8_t *values)
{
    if (n < 2 || run.prologue) {
        return 0;
    }
    if (trail_used == TRAIL || n > OPTIONS) {
        model_fail("more choices than can be kept");
    }
    struct choice *choice = &trail[trail_used++];
    if (mode != SEARCH || trail_used > trail_kept) {
        choice->step = run.step;
        choice->kind = kind;
        choice->count = (uint8_t)n;
        memcpy(choice->values, values, n);
        choice->taken = mode == RANDOM   ? (uint8_t)draw_option(kind, n)
                        : mode == REPLAY ? (uint8_t)replayed(kind, n, values)
                                         : 0;
        if (mode == SEARCH) {
            trail_kept = trail_used;
        }
    } else if (choice->kind != kind || choice->count != n || choice->step != run.step) {
        model_fail(
            "the program is not deterministic: choice %c of %u at step %u was %c of %u at %u", kind,
            n, run.step, choice->kind, choice->count, choice->step);
    }
    if (run.trace && choice->taken != 0) {
        printf("        -- %u%c%u\n", run.step, kind, choice->values[choice->taken]);
    }
    return choice->taken;
}

bool deviates(char kind, bool free_of_charge)
{
    static const uint8_t no_or_yes[] = {0, 1};
    if (!free_of_charge && run.budget <= 0) {
        return false;
    }
    bool yes = choose(kind, 2, no_or_yes) != 0;
    run.budget -= yes && !free_of_charge;
    return yes;
}

void end_execution(void)
{
    struct model_fiber unused = {0};
    struct model_fiber *from = run.current == NOBODY ? &unused : &run.threads[run.current].fiber;
    model_fiber_switch(from, &run.main);
    abort(); /* nobody comes back to an execution that has ended */
}

void model_fail(const char *format, ...)
{
    if (!run.failed) {
        run.failed = true;
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(run.message, sizeof run.message, format, arguments);
        va_end(arguments);
    }
    if (run.current != NOBODY) {
        end_execution();
    }
}

void model_reach(unsigned bit)
{
    reached |= 1u << bit;
}

void trace(const char *what, const void *word, uint64_t value, const void *caller)
{
    printf("%5u %-10s %-10s %p %llx", run.step, run.threads[run.current].name, what, word,
           (unsigned long long)value);
    if (caller != NULL) {
        printf("  at %p", caller);
    }
    putchar('\n');
}

/* ------------------------------------------------------------------------------ executions */

static void execute(const struct model_case *program, enum model_memory memory, int budget)
{
    run.program = program;
    run.memory = memory;
    run.epoch++;
    run.budget = budget;
    run.failed = run.abandoned = false;
    trail_used = 0;
    threads_begin();
    freed_begin();
    program->setup();
    if (!run.failed) {
        threads_start();
    }
    run.current = NOBODY;
    if (!run.failed && !run.abandoned && program->check != NULL) {
        program->check();
    }
}

/* The next set of choices; false when there is none. */
static bool advance(void)
{
    trail_kept = trail_used;
    while (trail_kept != 0 && trail[trail_kept - 1].taken + 1 >= trail[trail_kept - 1].count) {
        trail_kept--;
    }
    if (trail_kept == 0) {
        return false;
    }
    trail[trail_kept - 1].taken++;
    return true;
}

static void describe(enum model_memory memory, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "%s:", memory == MODEL_C11 ? "c11" : "tso");
    const char *comma = "";
    for (unsigned i = 0; i < trail_used && used > 0 && (size_t)used < bytes; i++) {
        const struct choice *choice = &trail[i];
        if (choice->taken != 0) {
            used += snprintf(text + used, bytes - (size_t)used, "%s%u%c%u", comma, choice->step,
                             choice->kind, choice->values[choice->taken]);
            comma = ",";
        }
    }
}

static bool count_in(struct model_result *result, enum model_memory memory)
{
    result->executions++;
    result->steps += run.step;
    if (run.failed) {
        result->failed = true;
        memcpy(result->message, run.message, sizeof result->message);
        describe(memory, result->replay, sizeof result->replay);
    }
    return run.failed;
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Random executions first: they learn quickly which locations are shared, and go deeper than the
   bound. True: one failed. */
static bool run_random(const struct model_case *program, const struct model_options *options,
                       struct model_result *result)
{
    mode = RANDOM;
    random_state = options->seed * UINT64_C(0x9e3779b97f4a7c15) + 88172645463325252;
    for (uint64_t i = 0; i < options->random_count;) {
        execute(program, options->memory, RANDOM_BUDGET);
        if (run.abandoned) {
            continue;
        }
        i++;
        if (count_in(result, options->memory)) {
            return true;
        }
    }
    return false;
}

static void search(const struct model_case *program, const struct model_options *options,
                   struct model_result *result)
{
    double stop_at = options->seconds_max > 0.0 ? seconds() + options->seconds_max : 0.0;
    mode = SEARCH;
    trail_kept = 0;
    for (;;) {
        if (stop_at != 0.0 && result->executions % 4096 == 0 && seconds() > stop_at) {
            return;
        }
        execute(program, options->memory, (int)options->bound);
        if (run.abandoned) { /* something new is known: from the beginning */
            trail_kept = 0;
            continue;
        }
        if (count_in(result, options->memory)) {
            return;
        }
        if (!advance()) {
            result->exhausted = true;
            if ((reached & program->reach) != program->reach) {
                result->failed = true;
                (void)snprintf(result->message, sizeof result->message,
                               "the case is blind: of the situations %x it never saw %x",
                               program->reach, program->reach & ~reached);
            }
            return;
        }
    }
}

void model_run(const struct model_case *program, const struct model_options *options,
               struct model_result *result)
{
    memset(result, 0, sizeof *result);
    memory_forget();
    reached = 0;
    double begin = seconds();
    run.all_shared = options->replay != NULL;
    run.trace = options->trace;
    if (options->replay != NULL) {
        mode = REPLAY;
        replay_next = options->replay;
        execute(program, options->memory, TRAIL);
        (void)count_in(result, options->memory);
    } else if (!run_random(program, options, result)) {
        search(program, options, result);
    }
    run.trace = false;
    result->seconds = seconds() - begin;
}
