/*
 * numapool check: every mistake of configuration files, of each file alone. A file that reads well is
 * also planned, since whether its CPUs and nodes are there only then shows.
 */
#include "tool/json.h"
#include "tool/layers.h"
#include "tool/tool.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_MACHINE = 0x100, KEY_NO_MACHINE, KEY_JSON };

static const struct argp_option options[] = {
    {"machine", KEY_MACHINE, "TEXT|XML", 0,
     "Whether the files fit that machine, not this one; its hwloc text or XML file", 0},
    {"no-machine", KEY_NO_MACHINE, 0, 0, "Only the files, whatever machine they are for", 0},
    {"json", KEY_JSON, 0, 0, "Prints JSON", 0},
    {0},
};

struct arguments {
    char **files;
    unsigned file_count;
    const char *machine; /* NULL = the file's own, or this one */
    bool no_machine, json;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_MACHINE:
        a->machine = text;
        return 0;
    case KEY_NO_MACHINE:
        a->no_machine = true;
        return 0;
    case KEY_JSON:
        a->json = true;
        return 0;
    case ARGP_KEY_ARGS:
        a->files = state->argv + state->next;
        a->file_count = (unsigned)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which file? numapool check my.conf");
        return 0;
    case ARGP_KEY_END:
        if (a->machine != NULL && a->no_machine)
            argp_error(state, "--machine and --no-machine contradict each other");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Whether there is anything to judge: a mistake in a file is one thing, no file another. */
static bool can_be_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat file;
    char byte;
    bool can = fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && read(fd, &byte, 1) >= 0;
    if (fd >= 0)
        (void)close(fd);
    return can;
}

/* A mistake's text, taken apart: "file:line: setting: what". */
struct parts {
    unsigned long line; /* 0 = the whole file */
    char *setting;      /* owned; NULL = none */
    const char *sentence;
};

static struct parts take_apart(const char *text, const char *path)
{
    struct parts parts = {.sentence = text};
    size_t length = strlen(path);
    if (strncmp(text, path, length) != 0 || text[length] != ':')
        return parts;
    parts.sentence = text + length + 1;
    char *end = NULL;
    if (isdigit((unsigned char)*parts.sentence)) {
        parts.line = strtoul(parts.sentence, &end, 10);
        parts.sentence = *end == ':' ? end + 1 : end;
    }
    parts.sentence += strspn(parts.sentence, " ");
    size_t name = strcspn(parts.sentence, ": ");
    if (parts.line > 0 && parts.sentence[name] == ':') {
        parts.setting = strndup(parts.sentence, name);
        parts.sentence += name + 1;
        parts.sentence += strspn(parts.sentence, " ");
    }
    return parts;
}

static void put_mistakes(struct json *json, const struct npi_mistakes *mistakes, const char *path)
{
    unsigned kept = npi_mistakes_kept(mistakes);
    json_begin_array(json, "mistakes");
    for (unsigned i = 0; i < kept; i++) {
        struct parts parts = take_apart(mistakes->items[i].text, path);
        json_begin_object(json, NULL);
        if (parts.line > 0)
            json_unsigned(json, "line", parts.line);
        else
            json_null(json, "line");
        json_string(json, "setting", parts.setting);
        json_string(json, "what", parts.sentence);
        json_end_object(json);
        free(parts.setting);
    }
    json_end_array(json);
    json_unsigned(json, "mistake_count", mistakes->count);
}

static void print_mistakes(const struct npi_mistakes *mistakes, const char *path)
{
    unsigned kept = npi_mistakes_kept(mistakes);
    size_t length = strlen(path);
    for (unsigned i = 0; i < kept; i++) {
        const char *text = mistakes->items[i].text;
        bool placed = strncmp(text, path, length) == 0 && text[length] == ':';
        (void)printf("%s%s%s\n", placed ? "" : path, placed ? "" : ": ", text);
    }
    if (mistakes->count > kept)
        (void)printf("%s: and %u more mistakes\n", path, mistakes->count - kept);
}

static void print_fine(const struct npi_plan *plan, const char *path)
{
    if (plan == NULL)
        (void)printf("%s: fine\n", path);
    else
        (void)printf("%s: fine, %u shard%s on %u node%s of %s\n", path, plan->shard_count,
                     plan->shard_count == 1 ? "" : "s", plan->node_count,
                     plan->node_count == 1 ? "" : "s", plan->source);
}

static void say_machine(struct layers *layers, const char *machine)
{
    if (machine != NULL)
        layers_add_option(layers, npi_setting_find(NPI_GROUP_POOL, "machine"), machine);
}

/* One file; enum tool_exit. */
static int check(const struct arguments *a, const char *path, struct json *json)
{
    struct layers layers;
    if (!layers_init(&layers)) {
        tool_complain("out of memory");
        return TOOL_USAGE;
    }
    bool readable = can_be_read(path);
    layers_add_file(&layers, path);
    say_machine(&layers, a->machine);
    if (!a->no_machine)
        (void)layers_plan(&layers);
    int status = layers.mistakes.count == 0 ? TOOL_OK : readable ? TOOL_FAILED : TOOL_USAGE;
    if (layers.mistakes.no_memory) {
        tool_complain("out of memory");
        status = TOOL_USAGE;
    } else if (a->json) {
        json_begin_object(json, NULL);
        json_string(json, "path", path);
        json_bool(json, "fine", status == TOOL_OK);
        json_bool(json, "readable", readable);
        put_mistakes(json, &layers.mistakes, path);
        if (layers.plan != NULL)
            json_unsigned(json, "shard_count", layers.plan->shard_count);
        else
            json_null(json, "shard_count");
        json_end_object(json);
    } else if (status == TOOL_OK) {
        print_fine(layers.plan, path);
    } else {
        print_mistakes(&layers.mistakes, path);
    }
    layers_fini(&layers);
    return status;
}

/* What is wrong with --machine is nobody's mistake but the caller's. */
static bool machine_is_fine(const char *machine)
{
    struct layers layers;
    bool fine = layers_init(&layers);
    if (fine)
        say_machine(&layers, machine);
    if (fine && !layers_plan(&layers)) {
        layers_complain(&layers);
        fine = false;
    }
    layers_fini(&layers);
    return fine;
}

static int check_all(const struct arguments *a)
{
    struct json json = {.out = stdout, .first = true};
    int worst = TOOL_OK;
    if (a->machine != NULL && !machine_is_fine(a->machine))
        return TOOL_USAGE;
    if (a->json) {
        json_begin_object(&json, NULL);
        json_begin_array(&json, "files");
    }
    for (unsigned i = 0; i < a->file_count; i++) {
        int status = check(a, a->files[i], &json);
        worst = status > worst ? status : worst;
    }
    if (a->json) {
        json_end_array(&json);
        json_bool(&json, "fine", worst == TOOL_OK);
        json_end_object(&json);
    }
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        tool_complain("what was found could not be written: %s", strerror(errno));
        return TOOL_USAGE;
    }
    return worst;
}

int tool_check(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FILE...",
        .doc =
            "Finds all mistakes of topology configuration files, each as FILE:LINE: SETTING: what, "
            "and "
            "what would be right. A file that reads well is planned on this machine, or on the one "
            "that the file or --machine describes. The environment is not read.\v"
            "Exits with 0 when all is fine, 1 when there are mistakes, 2 when a file cannot be "
            "read "
            "or an argument cannot be used.\n\n"
            "numapool check /etc/my-server.conf\n"
            "numapool check --machine \"pack:4 [numa] core:16 pu:2\" my.conf",
    };
    struct arguments arguments = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
        return TOOL_USAGE;
    return check_all(&arguments);
}
