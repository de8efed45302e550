/*
 * argp description of the command line, and the range of every value. Called by main() only.
 */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <numapool/numapool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_SECONDS = 0x100,
    KEY_RATE,
    KEY_SERVICE,
    KEY_TOUCH,
    KEY_WORKERS,
    KEY_CONTENDER,
    KEY_MACHINE,
    KEY_SKEW,
    KEY_JSON,
    KEY_MEMORY,
    KEY_REWARM,
    KEY_NAIVE_LIMIT,
    KEY_QUEUE,
    KEY_FIXED_WORKERS,
    KEY_GENERATORS,
    KEY_BOUND,
    KEY_PLAIN,
    KEY_USUAL_PRIORITY,
    KEY_FIXED_REUSE,
    KEY_CHILD,
    KEY_RESULT_FD,
};

static const struct argp_option descriptions[] = {
    {NULL, 0, NULL, 0, "The load", 1},
    {"seconds", KEY_SECONDS, "S", 0, "Offer requests for S seconds (30)", 1},
    {"rate", KEY_RATE, "N", 0, "Requests offered per second, all nodes together (1000000)", 1},
    {"service-ms", KEY_SERVICE, "MS", 0, "How long a request sleeps (20)", 1},
    {"touch-kb", KEY_TOUCH, "KB", 0, "Memory a request takes and touches, 1 KB = 1000 bytes (500)",
     1},
    {"skew", KEY_SKEW, "P", 0,
     "Offer the share P (0 to 1) on node 0, the rest evenly on the others (even on all)", 1},
    {"generators", KEY_GENERATORS, "N", 0, "Threads per node that offer requests (1)", 1},
    {"usual-priority", KEY_USUAL_PRIORITY, NULL, 0,
     "Generators compete for CPUs with the contender's threads; without this they run with "
     "real-time priority where the system grants it",
     1},

    {NULL, 0, NULL, 0, "The contenders", 2},
    {"contender", KEY_CONTENDER, "NAME", 0, "naive, fixed, numapool or all (all)", 2},
    {"workers-max", KEY_WORKERS, "N", 0, "Requests that may run at once: fixed, numapool (5000)",
     2},
    {"queue-tasks", KEY_QUEUE, "N", 0,
     "Requests that may wait: fixed, numapool (1024 per CPU, numapool's default)", 2},
    {"fixed-workers", KEY_FIXED_WORKERS, "N", 0, "Threads of fixed (as --workers-max)", 2},
    {"fixed-reuse", KEY_FIXED_REUSE, NULL, 0,
     "fixed: each thread keeps one block of memory instead of malloc and free per request", 2},
    {"naive-limit-mb", KEY_NAIVE_LIMIT, "MB", 0,
     "Memory at which naive stops (16000, at most half of what is available)", 2},
    {"memory-mb", KEY_MEMORY, "MB", 0, "numapool's budget for task memory (1300)", 2},
    {"rewarm-mb", KEY_REWARM, "MB", 0,
     "Touch so much memory before each contender, so that a virtual machine's host has given it "
     "(1.2 times --memory-mb in a virtual machine, else 0)",
     2},
    {"machine", KEY_MACHINE, "TEXT", 0,
     "Run numapool on an emulated machine: hwloc synthetic text or an XML file", 2},
    {"plain", KEY_PLAIN, NULL, 0,
     "numapool: submit function and argument only, reserve no memory at acceptance; a request "
     "that then gets none counts as refused",
     2},

    {NULL, 0, NULL, 0, "The report", 3},
    {"json", KEY_JSON, "FILE", 0, "Also write everything as JSON; - is stdout", 3},
    {"bound-seconds", KEY_BOUND, "S", 0,
     "Measure a bare request's CPU cost for S seconds first; 0 leaves the bound out (1)", 3},

    {"child", KEY_CHILD, "NAME", OPTION_HIDDEN, NULL, 4},
    {"result-fd", KEY_RESULT_FD, "FD", OPTION_HIDDEN, NULL, 4},
    {NULL, 0, NULL, 0, NULL, 0},
};

static const char doc[] =
    "Offers more requests than this machine can run, on a fixed schedule, to a thread per request "
    "(naive), to a mutex-and-condition-variable pool (fixed) and to numapool, and reports side by "
    "side what became of every request.\v"
    "Exit status: 0, or 1 when a request is unaccounted for or a contender could not be measured, "
    "or 64 for a mistake on the command line.";

static double number(struct argp_state *state, const char *name, const char *text, double low,
                     double high)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !isfinite(value) || value < low ||
        value > high)
        argp_error(state, "--%s: '%s' is not a number from %g to %g", name, text, low, high);
    return value;
}

static uint64_t whole(struct argp_state *state, const char *name, const char *text, double low,
                      double high)
{
    double value = number(state, name, text, low, high);
    if (value != floor(value))
        argp_error(state, "--%s: '%s' is not a whole number", name, text);
    return (uint64_t)value;
}

static unsigned contender(struct argp_state *state, const char *text)
{
    if (strcmp(text, "naive") == 0)
        return CONTENDER_NAIVE;
    if (strcmp(text, "fixed") == 0)
        return CONTENDER_FIXED;
    if (strcmp(text, "numapool") == 0)
        return CONTENDER_NUMAPOOL;
    if (strcmp(text, "all") != 0)
        argp_error(state, "--contender: '%s' is none of naive, fixed, numapool, all", text);
    return CONTENDER_NAIVE | CONTENDER_FIXED | CONTENDER_NUMAPOOL;
}

static error_t parse_one(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case KEY_SECONDS:
        o->window_ns = (uint64_t)(number(state, "seconds", text, 0.1, 86400) * 1e9);
        return 0;
    case KEY_RATE:
        o->rate = whole(state, "rate", text, 1, 1e9);
        return 0;
    case KEY_SERVICE:
        o->service_ns = (uint64_t)(number(state, "service-ms", text, 0, 60000) * 1e6);
        return 0;
    case KEY_TOUCH:
        o->touch_bytes = whole(state, "touch-kb", text, 0, 1e6) * 1000;
        return 0;
    case KEY_WORKERS:
        o->workers_max = (unsigned)whole(state, "workers-max", text, 1, 1e6);
        return 0;
    case KEY_CONTENDER:
        o->contenders = contender(state, text);
        return 0;
    case KEY_MACHINE:
        o->machine = text;
        return 0;
    case KEY_SKEW:
        o->skew = number(state, "skew", text, 0, 1);
        return 0;
    case KEY_JSON:
        o->json = text;
        return 0;
    case KEY_MEMORY:
        o->memory_bytes = whole(state, "memory-mb", text, 1, 1e9) * 1000000;
        return 0;
    case KEY_NAIVE_LIMIT:
        o->naive_limit_bytes = whole(state, "naive-limit-mb", text, 1, 1e9) * 1000000;
        return 0;
    case KEY_QUEUE:
        o->queue_tasks = whole(state, "queue-tasks", text, 1, 1e8);
        return 0;
    case KEY_FIXED_WORKERS:
        o->fixed_workers = (unsigned)whole(state, "fixed-workers", text, 1, 1e6);
        return 0;
    case KEY_GENERATORS:
        o->generators = (unsigned)whole(state, "generators", text, 1, 64);
        return 0;
    case KEY_BOUND:
        o->bound_ns = (uint64_t)(number(state, "bound-seconds", text, 0, 60) * 1e9);
        return 0;
    case KEY_REWARM:
        o->rewarm_bytes = (int64_t)(whole(state, "rewarm-mb", text, 0, 1e6) * 1000000);
        return 0;
    case KEY_PLAIN:
        o->plain = true;
        return 0;
    case KEY_USUAL_PRIORITY:
        o->usual_priority = true;
        return 0;
    case KEY_FIXED_REUSE:
        o->fixed_reuse = true;
        return 0;
    case KEY_CHILD:
        o->child = text;
        return 0;
    case KEY_RESULT_FD:
        o->result_fd = (int)whole(state, "result-fd", text, 0, 1e6);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s': everything is given by options", text);
        return 0;
    case ARGP_KEY_END:
        if (o->plain && o->machine != NULL)
            argp_error(state, "--plain submits to the caller's node, which an emulated --machine "
                              "does not have");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "numapool-overload %s\n", numapool_version());
}

void options_parse(struct options *options, int argc, char **argv)
{
    static const struct argp argp = {.options = descriptions, .parser = parse_one, .doc = doc};

    *options = (struct options){
        .window_ns = UINT64_C(30000000000),
        .rate = 1000000,
        .service_ns = 20000000,
        .touch_bytes = 500000,
        .workers_max = 5000,
        .contenders = CONTENDER_NAIVE | CONTENDER_FIXED | CONTENDER_NUMAPOOL,
        .skew = -1,
        .memory_bytes = 1300000000,
        .rewarm_bytes = -1,
        .generators = 1,
        .bound_ns = 1000000000,
        .result_fd = -1,
    };
    argp_program_version_hook = print_version;
    argp_parse(&argp, argc, argv, 0, NULL, options);
}

unsigned options_contender_count(const struct options *options)
{
    return (unsigned)__builtin_popcount(options->contenders);
}
