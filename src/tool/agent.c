/* numapool agent: tells HAProxy how much room a process has; docs/fleet.md says how it is meant. */
#include "tool/tool.h"

#include "tool/agent_find.h"
#include "tool/agent_server.h"
#include "tool/agent_watch.h"
#include "tool/json.h"
#include "tool/watch.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INTERVAL_S 0.2

/* About two questions of HAProxy at the interval that docs/fleet.md has: shorter bursts are for its
   retries, and what a balancer answers to noise is noise. */
#define SMOOTH_S 1.0

struct arguments {
    struct agent_target target;
    const char *addresses[AGENT_LISTENERS];
    size_t address_count;
    double interval_s, smooth_s;
    unsigned long port, least;
    bool has_port, once, json;
};

enum { KEY_ONCE = 0x100, KEY_LEAST, KEY_PID_FILE, KEY_POOL, KEY_SMOOTH };

static const struct argp_option options[] = {
    {"port", 'P', "N", 0, "Where HAProxy asks: its agent-port", 0},
    {"bind", 'b', "ADDRESS", 0,
     "At this address or name of the machine, * = all (localhost); up to 16 times", 0},
    {"pid", 'p', "PID", 0, "Speaks for this process, and for no other after it", 1},
    {"pid-file", KEY_PID_FILE, "FILE", 0, "Speaks for the process whose number is in a file", 1},
    {"follow", 'f', "NAME", 0, "Speaks for the process of this name, also after a restart", 1},
    {"pool", KEY_POOL, "NAME", 0, "Only its pools of this name count", 1},
    {"interval", 'i', "SECONDS", 0, "Looks at it so often (0.2)", 2},
    {"smooth", KEY_SMOOTH, "SECONDS", 0, "The weight is a mean over about so long (1)", 2},
    {"min", KEY_LEAST, "PERCENT", 0, "The least weight of a process that takes tasks (1)", 2},
    {"once", KEY_ONCE, NULL, 0, "Prints the answer and ends", 3},
    {"json", 'j', NULL, 0, "With --once: and all it is made of, as JSON", 3},
    {0}};

static unsigned long parse_number(const char *text, unsigned long most, const char *what,
                                  struct argp_state *state)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || text[0] < '0' || text[0] > '9' || value > most) {
        argp_error(state, "%s from 0 to %lu, not '%s'", what, most, text);
    }
    return value;
}

static void check(const struct arguments *a, struct argp_state *state)
{
    int targets =
        (a->target.pid != NULL) + (a->target.pid_file != NULL) + (a->target.command != NULL);
    if (targets > 1) {
        argp_error(state, "--pid, --pid-file and --follow exclude one another");
    }
    if (a->once && (a->has_port || a->address_count != 0)) {
        argp_error(state, "--once prints and listens at no --port");
    }
    if (!a->once && !a->has_port) {
        argp_error(state, "--port is missing (or --once)");
    }
    if (a->json && !a->once) {
        argp_error(state, "--json goes with --once");
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'P':
        a->port = parse_number(text, 65535, "--port is a number", state);
        a->has_port = true;
        return 0;
    case 'b':
        if (a->address_count == AGENT_LISTENERS) {
            argp_error(state, "--bind %s: %u addresses are the most", text, AGENT_LISTENERS);
        }
        a->addresses[a->address_count++] = text;
        return 0;
    case 'p':
        if (agent_parse_pid(text) == 0) {
            argp_error(state, "--pid: '%s' is not the number of a process", text);
        }
        a->target.pid = text;
        return 0;
    case KEY_PID_FILE:
        a->target.pid_file = text;
        return 0;
    case 'f':
        if (text[0] == '\0') {
            argp_error(state, "--follow needs the name of a command, as ps -o comm shows it");
        }
        a->target.command = text;
        return 0;
    case KEY_POOL:
        a->target.pool = text;
        return 0;
    case 'i':
        watch_parse_seconds("--interval", text, &a->interval_s, state);
        return 0;
    case KEY_SMOOTH:
        watch_parse_seconds("--smooth", text, &a->smooth_s, state);
        return 0;
    case KEY_LEAST:
        a->least = parse_number(text, 100, "--min is a percentage", state);
        return 0;
    case KEY_ONCE:
        a->once = true;
        return 0;
    case 'j':
        a->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is too many; a process is named by --pid", text);
        return 0;
    case ARGP_KEY_END:
        check(a, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------------------------ once */

static void print_json(const struct agent_watch *watch, const char *line)
{
    struct json json = {.out = stdout, .line = true, .first = true};
    char answer[AGENT_LINE_BYTES];
    (void)snprintf(answer, sizeof answer, "%.*s", (int)strcspn(line, "\n"), line);
    json_begin_object(&json, NULL);
    json_string(&json, "answer", answer);
    json_string(&json, "state", agent_state_name(watch->state));
    if (watch->state == AGENT_UP || watch->state == AGENT_STALLED) {
        json_unsigned(&json, "weight", agent_watch_percent(watch));
    } else {
        json_null(&json, "weight");
    }
    if (watch->open) {
        json_signed(&json, "pid", watch->process.pid);
        json_string(&json, "command", watch->process.command);
    } else {
        json_null(&json, "pid");
        json_null(&json, "command");
    }
    json_begin_array(&json, "pools");
    for (size_t i = 0; i < watch->count; i++) {
        const struct agent_pool *pool = &watch->pools[i];
        if (!pool->counts) {
            continue;
        }
        json_begin_object(&json, NULL);
        json_string(&json, "pool", watch->process.pages[i].header.pool_name);
        json_unsigned(&json, "pool_id", watch->process.pages[i].header.pool_id);
        json_string(&json, "phase", pool_phase_name(pool->phase));
        if (pool->phase == NUMAPOOL_PAGE_OPEN) {
            json_double(&json, "busy", pool->headroom.busy);
            json_double(&json, "filled", pool->headroom.filled);
            json_double(&json, "rounds", pool->headroom.rounds);
            json_double(&json, "refused", pool->headroom.refused);
            json_double(&json, "headroom", pool->headroom.room);
        }
        json_end_object(&json);
    }
    json_end_array(&json);
    json_end_object(&json);
}

/* Twice, since refusals are counted between two looks. */
static int print_once(struct agent_watch *watch, const struct arguments *a)
{
    char line[AGENT_LINE_BYTES];
    if (watch->open) {
        uint64_t next_ns = 0;
        watch_pause(&next_ns, a->interval_s);
        watch->looked_ns =
            0; /* or the weight would be a mean with the look that could see no refusals */
        agent_watch_look(watch);
    }
    agent_watch_answer(watch, line);
    if (a->json) {
        print_json(watch, line);
    } else {
        (void)fputs(line, stdout);
    }
    if (ferror(stdout) || fflush(stdout) != 0) {
        tool_complain("the output cannot be written");
        return TOOL_USAGE;
    }
    return watch->state == AGENT_UP || watch->state == AGENT_STALLED ? TOOL_OK : TOOL_FAILED;
}

/* ----------------------------------------------------------------------------------- serve */

static void tick(void *context)
{
    agent_watch_look(context);
}

static void answer(void *context, char *line, size_t bytes)
{
    char text[AGENT_LINE_BYTES];
    agent_watch_glance(context);
    agent_watch_answer(context, text);
    (void)snprintf(line, bytes, "%s", text);
}

static int serve(struct agent_watch *watch, struct agent_server *server, const struct arguments *a)
{
    struct agent_handler handler = {watch, tick, answer};
    return agent_server_run(server, (uint64_t)(a->interval_s * 1e9), &handler);
}

int tool_agent(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Answers HAProxy's agent checks for a process, by default the only one of this user "
               "that "
               "has a pool, and after it ended the next one of its name: \"up ready N%\" with a "
               "weight "
               "from the room it has, \"up drain\" while it drains, \"stopped\" after that, and "
               "\"down\" "
               "when it ended otherwise. The process is not asked, and does not notice.\v"
               "What changes is said on standard error. SIGTERM ends the agent.\n\n"
               "Exits with 1 if --once finds no process that takes tasks, with 2 if the port "
               "cannot be "
               "listened at, the process cannot be looked at or is one of several, or the output "
               "cannot be written.",
    };
    struct arguments arguments = {.interval_s = INTERVAL_S, .smooth_s = SMOOTH_S, .least = 1};
    struct agent_watch watch;
    struct agent_server server;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return TOOL_USAGE;
    }
    int status = TOOL_OK;
    if (!arguments.once) {
        status = agent_server_open(&server, arguments.addresses, arguments.address_count,
                                   (unsigned)arguments.port);
        if (status != TOOL_OK) {
            return status;
        }
    }
    status = agent_watch_begin(&watch, &arguments.target, (double)arguments.least,
                               arguments.smooth_s, !arguments.once);
    if (status == TOOL_OK) {
        status =
            arguments.once ? print_once(&watch, &arguments) : serve(&watch, &server, &arguments);
    }
    agent_watch_end(&watch);
    if (!arguments.once) {
        agent_server_close(&server);
    }
    return status;
}
