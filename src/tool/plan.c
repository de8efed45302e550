/*
 * numapool plan: which shards a pool gets, on which CPUs, with which memory, and why; of this machine or
 * of one that is described. Nothing is started, pinned or bound.
 */
#include "tool/plan.h"
#include "tool/setting_options.h"
#include "tool/tool.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Files that say something one after the other, and options given. */
enum { FILES_MAX = 16, OPTIONS_MAX = 128 };

enum { KEY_EXPLAIN = 0x100, KEY_CONF, KEY_JSON, KEY_SVG, KEY_PNG, KEY_ASCII, KEY_NO_ENVIRONMENT };

static const struct argp_option own_options[] = {
    {"explain", KEY_EXPLAIN, 0, 0, "Also every setting, its value and who said it", 1},
    {"conf", KEY_CONF, 0, 0, "Prints a configuration file with these shards instead", 1},
    {"json", KEY_JSON, 0, 0, "Prints all of it as JSON instead", 1},
    {"svg", KEY_SVG, "OUT", 0, "Draws it (needs lstopo)", 1},
    {"png", KEY_PNG, "OUT", 0, "The same as pixels (needs an lstopo that has cairo)", 1},
    {"ascii", KEY_ASCII, "OUT", 0, "The same in characters", 1},
    {"no-environment", KEY_NO_ENVIRONMENT, 0, 0, "Passes over NUMAPOOL_ variables", 1},
    {0},
};

struct plan_option {
    const struct npi_setting *setting;
    const char *text;
};

struct arguments {
    const char *files[FILES_MAX];
    struct plan_option options[OPTIONS_MAX];
    unsigned file_count, option_count;
    const char *svg, *png, *ascii; /* where to, NULL = not */
    bool explain, conf, json, no_environment;
};

static bool is_standard(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

static void check_together(const struct arguments *a, struct argp_state *state)
{
    int pages =
        a->conf + a->json + is_standard(a->svg) + is_standard(a->png) + is_standard(a->ascii);
    if (pages > 1)
        argp_error(state, "of --conf, --json and pictures only one can go to standard output");
    if (a->explain && a->json)
        argp_error(state, "--json has all that --explain tells; leave --explain out");
    if (a->explain && (a->conf || pages > 0))
        argp_error(state, "--explain adds to the plan as text, which is not printed here");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_EXPLAIN:
        a->explain = true;
        return 0;
    case KEY_CONF:
        a->conf = true;
        return 0;
    case KEY_JSON:
        a->json = true;
        return 0;
    case KEY_SVG:
        a->svg = text;
        return 0;
    case KEY_PNG:
        a->png = text;
        return 0;
    case KEY_ASCII:
        a->ascii = text;
        return 0;
    case KEY_NO_ENVIRONMENT:
        a->no_environment = true;
        return 0;
    case ARGP_KEY_ARG:
        if (a->file_count == FILES_MAX)
            argp_error(state, "more than %d files", FILES_MAX);
        else
            a->files[a->file_count++] = text;
        return 0;
    case ARGP_KEY_END:
        check_together(a, state);
        return 0;
    default:
        break;
    }
    const struct npi_setting *setting = setting_of_option(key);
    if (setting == NULL)
        return ARGP_ERR_UNKNOWN;
    if (a->option_count == OPTIONS_MAX)
        argp_error(state, "more than %d settings", OPTIONS_MAX);
    else
        a->options[a->option_count++] = (struct plan_option){setting, text};
    return 0;
}

/* The page on standard output, and an error only where it could not be written. */
static int print(const struct plan_view *view, const struct arguments *a)
{
    bool done = true;
    int result = NUMAPOOL_OK;
    if (a->conf)
        result = npi_plan_print_whole_config(view->plan, &view->layers->asked, STDOUT_FILENO);
    else if (a->json)
        done = plan_write_json(view, stdout);
    else
        done = plan_print(view, stdout);
    if (a->explain && done) {
        (void)fputc('\n', stdout);
        done = plan_explain(view, stdout);
    }
    bool written = fflush(stdout) == 0 && ferror(stdout) == 0 && result == NUMAPOOL_OK;
    if (!done)
        tool_complain("out of memory");
    else if (!written)
        tool_complain("the plan could not be written: %s", strerror(errno));
    return done && written ? TOOL_OK : TOOL_USAGE;
}

static int draw(const struct plan_view *view, const struct arguments *a)
{
    const char *formats[] = {"svg", "png", "ascii"};
    const char *paths[] = {a->svg, a->png, a->ascii};
    int worst = TOOL_OK;
    for (int i = 0; i < 3; i++) {
        int status = paths[i] != NULL ? plan_draw(view, formats[i], paths[i]) : TOOL_OK;
        worst = status > worst ? status : worst;
    }
    return worst;
}

static int plan(struct layers *layers, const struct arguments *a)
{
    for (unsigned i = 0; i < a->file_count; i++)
        layers_add_file(layers, a->files[i]);
    if (!a->no_environment)
        layers_add_environment(layers);
    for (unsigned i = 0; i < a->option_count; i++)
        layers_add_option(layers, a->options[i].setting, a->options[i].text);
    if (!layers_plan(layers)) {
        layers_complain(layers);
        return TOOL_USAGE;
    }
    struct plan_view view;
    int status = TOOL_OK;
    bool standard = is_standard(a->svg) || is_standard(a->png) || is_standard(a->ascii);
    if (!plan_view_init(&view, layers)) {
        tool_complain("out of memory");
        status = TOOL_USAGE;
    }
    if (status == TOOL_OK && !standard)
        status = print(&view, a);
    if (status == TOOL_OK)
        status = draw(&view, a);
    plan_view_fini(&view);
    return status;
}

int tool_plan(int argc, char **argv)
{
    const struct argp argp = {
        .options = setting_options(own_options),
        .parser = parse,
        .args_doc = "[FILE...]",
        .doc =
            "Tells which shards a pool has, on which CPUs, with which memory, and why. Settings "
            "are "
            "read as the library reads them, the last to say something wins: built-in values, the "
            "FILEs, NUMAPOOL_ variables (NUMAPOOL_CONFIG names one more file), options.\v"
            "numapool plan --machine \"pack:4 [numa] core:16 pu:2\" --svg plan.svg\n"
            "numapool plan my.conf --explain\n"
            "numapool plan --shards l3 --reserve 0 --conf > my.conf\n\n"
            "Numbers of CPUs and nodes are the operating system's. OUT may be - for standard "
            "output.",
    };
    struct arguments arguments = {0};
    struct layers layers = {0};
    int status = TOOL_USAGE;
    if (argp.options == NULL || !layers_init(&layers))
        tool_complain("out of memory");
    else if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0)
        status = plan(&layers, &arguments);
    layers_fini(&layers);
    return status;
}
