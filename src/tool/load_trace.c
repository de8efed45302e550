/* Arrivals as lines of text: time_s,node,class,cpu_us,block_us[,deadline_ms]. */
#include "tool/load.h"

#include "sim/event.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const load_classes[] = {"critical", "normal", "sheddable", NULL};

enum { FIELD_TIME, FIELD_NODE, FIELD_CLASS, FIELD_CPU, FIELD_BLOCK, FIELD_DEADLINE, FIELDS };
static const char *const names[FIELDS] = {"time_s", "node",     "class",
                                          "cpu_us", "block_us", "deadline_ms"};

/* Longer than a day, in every unit of a field. */
static const double number_max = 1e12;

/* A number that is not negative, and nothing else. */
static bool parse_number(const char *text, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == '\0' && *number >= 0.0 && *number <= number_max;
}

static int parse_class(const char *text)
{
    for (int c = 0; load_classes[c] != NULL; c++)
        if (strcmp(load_classes[c], text) == 0)
            return c;
    return -1;
}

/* One line, cut at its commas. NULL, or what is wrong with it. */
static const char *parse_line(char *fields[FIELDS], int count, const struct npi_plan *plan,
                              struct sim_arrival *arrival)
{
    double numbers[FIELDS] = {0};
    if (count < FIELD_DEADLINE)
        return "fields are missing; time_s,node,class,cpu_us,block_us and perhaps deadline_ms";
    for (int i = 0; i < count; i++)
        if (i != FIELD_CLASS && !parse_number(fields[i], &numbers[i]))
            return "a field is not a number of 0 or more";
    int class = parse_class(fields[FIELD_CLASS]);
    if (class < 0)
        return "the class is not known; critical, normal or sheddable";
    if (numbers[FIELD_NODE] >= plan->node_count ||
        numbers[FIELD_NODE] != floor(numbers[FIELD_NODE]))
        return "the machine has no such node";
    unsigned first, shards;
    npi_plan_shards_of(plan, (unsigned)numbers[FIELD_NODE], &first, &shards);
    *arrival = (struct sim_arrival){
        .at_ns = (uint64_t)llround(numbers[FIELD_TIME] * 1e9),
        .home = first,
        .job = {.cpu_ns = floor(numbers[FIELD_CPU] * 1e3 + 0.5),
                .block_ns = (uint64_t)llround(numbers[FIELD_BLOCK] * 1e3),
                .deadline_ns = (uint64_t)llround(numbers[FIELD_DEADLINE] * 1e6),
                .cpu_before = 1.0,
                .task_class = (enum npi_class) class},
    };
    return NULL;
}

static int cut(char *line, char *fields[FIELDS])
{
    int count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; at != NULL && count < FIELDS; count++) {
        fields[count] = at;
        at = strchr(at, ',');
        if (at != NULL)
            *at++ = '\0';
    }
    return count;
}

void load_read_trace(struct load *load, const char *path, const struct npi_plan *plan,
                     struct npi_mistakes *mistakes)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        npi_mistakes_add(mistakes, 0, "%s: the file cannot be opened: %s", path, strerror(errno));
        return;
    }
    char *line = NULL;
    size_t space = 0;
    uint64_t last_ns = 0;
    /* Never NULL, also of an empty file: a trace was asked for. */
    load->trace = sim_grow(load->trace, 0, &load->trace_space, sizeof *load->trace);
    for (int number = 1; getline(&line, &space, in) >= 0; number++) {
        char *fields[FIELDS];
        int count = cut(line, fields);
        if (line[0] == '\0' || line[0] == '#' || strcmp(fields[0], names[0]) == 0)
            continue;
        struct sim_arrival arrival = {0};
        const char *wrong = parse_line(fields, count, plan, &arrival);
        if (wrong == NULL && arrival.at_ns < last_ns)
            wrong = "the time is before that of the line above; sort by time";
        if (wrong != NULL) {
            npi_mistakes_add(mistakes, number, "%s:%d: %s", path, number, wrong);
            continue;
        }
        /* In turn, where several shards stand for a node. */
        unsigned first, shards;
        npi_plan_shards_of(plan, plan->shards[arrival.home].node, &first, &shards);
        arrival.home += (uint32_t)(load->trace_count % shards);
        last_ns = arrival.at_ns;
        load->trace =
            sim_grow(load->trace, load->trace_count, &load->trace_space, sizeof *load->trace);
        load->trace[load->trace_count++] = arrival;
    }
    free(line);
    (void)fclose(in);
}

int load_write_trace(const struct load *load, const char *path, const struct npi_plan *plan)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return -errno;
    struct sim_source source;
    struct sim_arrival arrival;
    sim_source_init(&source, load->loads, load->load_count, load->trace, load->trace_count,
                    plan->shard_count, load->seed);
    (void)fputs("time_s,node,class,cpu_us,block_us,deadline_ms\n", out);
    while (sim_source_next(&source, &arrival) && (double)arrival.at_ns <= load->seconds * 1e9) {
        const struct sim_job *job = &arrival.job;
        (void)fprintf(
            out, "%llu.%09llu,%u,%s,%.3f,%.3f", (unsigned long long)(arrival.at_ns / 1000000000),
            (unsigned long long)(arrival.at_ns % 1000000000), plan->shards[arrival.home].node,
            load_classes[job->task_class], job->cpu_ns * 1e-3, (double)job->block_ns * 1e-3);
        if (job->deadline_ns != 0)
            (void)fprintf(out, ",%.6f", (double)job->deadline_ns * 1e-6);
        (void)fputc('\n', out);
    }
    sim_source_fini(&source);
    bool failed = ferror(out) != 0;
    return fclose(out) != 0 || failed ? -EIO : 0;
}
