/*
 * numapool simulate: what a pool would do on a machine, under a load, in virtual time. Options are
 * the settings of the configuration file, from the same table.
 */
#include "tool/tool.h"

#include "tool/layers.h"
#include "tool/setting_options.h"
#include "tool/simulate.h"
#include "topology/quantity.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_LOAD = 0x100,
    KEY_CONFIG,
    KEY_SEED,
    KEY_JSON,
    KEY_SVG,
    KEY_PNG,
    KEY_TRACE,
    KEY_FIXED,
    KEY_REAL
};

static const struct argp_option own_options[] = {
    {"load", KEY_LOAD, "FILE", 0, "The load: who submits what; required", 1},
    {"seed", KEY_SEED, "N", 0, "Random numbers, instead of the load's own", 1},
    {"config", KEY_CONFIG, "FILE", 0, "A configuration file, read before the settings below", 1},
    {"compare-fixed", KEY_FIXED, 0, 0, "Also the same load with a budget that does not move", 1},
    {"against-real", KEY_REAL, 0, 0, "Also offers the load to a real pool on this machine", 1},
    {"json", KEY_JSON, "FILE", 0, "Writes everything, quotas over time too; - is standard output",
     1},
    {"svg", KEY_SVG, "FILE", 0, "Draws it (needs gnuplot)", 1},
    {"png", KEY_PNG, "FILE", 0, "The same as pixels", 1},
    {"save-trace", KEY_TRACE, "FILE", 0, "Writes the arrivals as a trace", 1},
    {0},
};

struct arguments {
    const char *load, *json, *svg, *png, *trace;
    char *seed;
    bool fixed, real;
    struct npi_config_edit edit;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_LOAD:
        arguments->load = text;
        return 0;
    case KEY_SEED:
        arguments->seed = text;
        return 0;
    case KEY_CONFIG:
        npi_config_file_apply(&arguments->edit, text);
        return 0;
    case KEY_JSON:
        arguments->json = text;
        return 0;
    case KEY_SVG:
        arguments->svg = text;
        return 0;
    case KEY_PNG:
        arguments->png = text;
        return 0;
    case KEY_TRACE:
        arguments->trace = text;
        return 0;
    case KEY_FIXED:
        arguments->fixed = true;
        return 0;
    case KEY_REAL:
        arguments->real = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is not an option; the load is named by --load", text);
        return 0;
    case ARGP_KEY_END:
        if (arguments->load == NULL)
            argp_error(state, "a load is missing; name one by --load FILE");
        return 0;
    default:
        break;
    }
    const struct npi_setting *setting = setting_of_option(key);
    if (setting == NULL)
        return ARGP_ERR_UNKNOWN;
    setting_option_apply(&arguments->edit, setting, text);
    return 0;
}

static int complain(const struct numapool_error *error, int result)
{
    tool_complain("%s", error->text[0] != '\0' ? error->text : numapool_strerror(result));
    return TOOL_USAGE;
}

static int plan(struct simulation *simulation, const struct numapool_config *asked)
{
    struct numapool_error error = {0};
    int result = layers_settle(&simulation->config, &simulation->plan, asked, &error);
    return result == NUMAPOOL_OK ? TOOL_OK : complain(&error, result);
}

static int read_load(struct simulation *simulation, const struct arguments *arguments)
{
    struct npi_mistakes mistakes = {0};
    struct numapool_error error = {0};
    load_read(&simulation->load, arguments->load, simulation->plan, &mistakes);
    uint64_t seed = 0;
    if (arguments->seed != NULL && !npi_count_parse(arguments->seed, &seed))
        npi_mistakes_add(&mistakes, 0, "--seed: it is \"%s\"; a whole number", arguments->seed);
    else if (arguments->seed != NULL)
        simulation->load.seed = seed;
    int result = npi_mistakes_report(&mistakes, &error);
    return result == NUMAPOOL_OK ? TOOL_OK : complain(&error, result);
}

static int write_json(const struct simulation *simulation, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *out = standard ? stdout : fopen(path, "we");
    if (out == NULL) {
        tool_complain("%s: the file cannot be written: %s", path, strerror(errno));
        return TOOL_USAGE;
    }
    simulate_write_json(simulation, out);
    bool failed = ferror(out) != 0 || (standard ? fflush(out) : fclose(out)) != 0;
    if (failed)
        tool_complain("%s: the file could not be written to its end", path);
    return failed ? TOOL_USAGE : TOOL_OK;
}

static int write_trace(const struct simulation *simulation, const char *path)
{
    int error = load_write_trace(&simulation->load, path, simulation->plan);
    if (error != 0)
        tool_complain("%s: the file cannot be written: %s", path, strerror(-error));
    return error != 0 ? TOOL_USAGE : TOOL_OK;
}

static int worst(int left, int right)
{
    return left > right ? left : right;
}

static int run(struct simulation *simulation, const struct arguments *arguments,
               const struct numapool_config *asked)
{
    simulate_specify(simulation);
    simulation->result = sim_run(&simulation->spec);
    if (arguments->fixed)
        simulation->even = simulate_run_even(simulation);
    int status = TOOL_OK;
    if (simulation->result->faults > 0) {
        tool_complain("the simulator contradicts itself: %s", simulation->result->fault);
        status = TOOL_FAILED;
    }
    if (arguments->json == NULL || strcmp(arguments->json, "-") != 0)
        simulate_print(simulation, stdout);
    if (arguments->json != NULL)
        status = worst(status, write_json(simulation, arguments->json));
    if (arguments->trace != NULL)
        status = worst(status, write_trace(simulation, arguments->trace));
    if (arguments->svg != NULL)
        status = worst(status, simulate_draw(simulation, "svg", arguments->svg));
    if (arguments->png != NULL)
        status = worst(status, simulate_draw(simulation, "png", arguments->png));
    if (arguments->real)
        status = worst(status, simulate_against_real(simulation, asked));
    return status;
}

static int with(struct arguments *arguments, struct numapool_config *asked)
{
    struct numapool_error error = {0};
    struct simulation simulation = {.load_path = arguments->load, .against_real = arguments->real};
    int result = npi_config_edit_finish(&arguments->edit, &error);
    int status = result == NUMAPOOL_OK ? TOOL_OK : complain(&error, result);
    if (status == TOOL_OK)
        status = plan(&simulation, asked);
    if (status == TOOL_OK)
        status = read_load(&simulation, arguments);
    if (status == TOOL_OK)
        status = run(&simulation, arguments, asked);
    sim_result_free(simulation.result);
    sim_result_free(simulation.even);
    load_fini(&simulation.load);
    free(simulation.shards);
    npi_plan_free(simulation.plan);
    return status;
}

int tool_simulate(int argc, char **argv)
{
    const struct argp argp = {
        .options = setting_options(own_options),
        .parser = parse,
        .doc = "Runs the policy of the pool in virtual time: on the machine that --machine "
               "describes, else on this one, under the load of a file.\v"
               "src/sim/README.md says what is modelled, and has the keys of a load file.",
    };
    struct arguments arguments = {0};
    struct numapool_config asked;
    int status = TOOL_USAGE;
    numapool_config_init(&asked);
    if (argp.options == NULL || npi_config_edit_begin(&arguments.edit, &asked) != NUMAPOOL_OK)
        tool_complain("out of memory");
    else if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0)
        status = with(&arguments, &asked);
    numapool_config_fini(&asked);
    return status;
}
