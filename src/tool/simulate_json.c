/* A simulation as JSON. Keys are only ever added. */
#include "tool/json.h"
#include "tool/simulate.h"

static const struct {
    const char *name;
    unsigned permille;
} percentiles[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}, {"max", 1000}};

static void write_times(struct json *json, const char *key, const struct sim_result *result, int c,
                        double (*of)(const struct sim_result *, int, unsigned))
{
    json_begin_object(json, key);
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
        json_double(json, percentiles[i].name, of(result, c, percentiles[i].permille));
    json_end_object(json);
}

static void write_totals(struct json *json, const struct sim_result *result)
{
    uint64_t refused = 0;
    for (int c = 0; c < NPI_CLASS_COUNT; c++)
        refused += result->refused[c];
    json_begin_object(json, "tasks");
    json_unsigned(json, "offered", result->offered);
    json_unsigned(json, "completed", result->completed);
    json_unsigned(json, "refused", refused);
    json_unsigned(json, "refused_full", result->refused_for[NPI_VERDICT_FULL]);
    json_unsigned(json, "refused_share", result->refused_for[NPI_VERDICT_SHARE]);
    json_unsigned(json, "refused_delay", result->refused_for[NPI_VERDICT_DELAY]);
    json_unsigned(json, "refused_deadline", result->refused_for[NPI_VERDICT_DEADLINE]);
    json_unsigned(json, "dropped", result->dropped);
    json_unsigned(json, "queued_at_end", result->queued_at_end);
    json_unsigned(json, "running_at_end", result->running_at_end);
    json_unsigned(json, "away", result->away);
    json_unsigned(json, "forwarded", result->forwarded);
    json_unsigned(json, "stolen", result->stolen);
    json_unsigned(json, "in_time", result->in_time);
    json_double(json, "completed_per_s", (double)result->completed / result->seconds);
    json_end_object(json);
}

static void write_classes(struct json *json, const struct sim_result *result)
{
    json_begin_object(json, "classes");
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        if (result->offered_by[c] == 0)
            continue;
        json_begin_object(json, load_classes[c]);
        json_unsigned(json, "offered", result->offered_by[c]);
        json_unsigned(json, "completed", result->completed_by[c]);
        json_unsigned(json, "refused", result->refused[c]);
        json_unsigned(json, "dropped", result->dropped_by[c]);
        write_times(json, "wait_ms", result, c, simulate_wait_ms);
        write_times(json, "sojourn_ms", result, c, simulate_total_ms);
        json_end_object(json);
    }
    json_end_object(json);
}

enum series { SERIES_QUOTA, SERIES_LIMIT, SERIES_BUSY, SERIES_WAITING };
static const char *const series_names[] = {"quota_workers", "limit_workers", "busy_workers",
                                           "waiting_tasks"};

static uint32_t value_of(const struct sim_tick *tick, enum series series)
{
    return series == SERIES_QUOTA   ? tick->quota_workers
           : series == SERIES_LIMIT ? tick->limit_workers
           : series == SERIES_BUSY  ? tick->busy_workers
                                    : tick->queued_tasks;
}

/* The tick with which a part of the run ends. */
static size_t last_tick(const struct sim_result *result, size_t slot)
{
    size_t ticks = (slot + 1) * result->tick_count / result->slot_count;
    return ticks > 0 ? ticks - 1 : 0;
}

static void write_shards(struct json *json, const struct simulation *simulation)
{
    const struct sim_result *result = simulation->result;
    json_begin_array(json, "shards");
    for (size_t i = 0; i < result->shard_count; i++) {
        const struct sim_share *its = &result->shards[i];
        json_begin_object(json, NULL);
        json_unsigned(json, "node", simulation->plan->shards[i].node);
        json_double(json, "cpus", simulation->shards[i].cpus);
        json_unsigned(json, "offered", its->offered);
        json_unsigned(json, "refused", its->refused);
        json_unsigned(json, "dropped", its->dropped);
        json_unsigned(json, "completed", its->done);
        json_unsigned(json, "away", its->away);
        json_unsigned(json, "ran", its->ran);
        json_unsigned(json, "guests", its->guests);
        for (int k = 0; k < 4 && result->tick_count > 0; k++) {
            json_begin_row(json, series_names[k]);
            for (size_t slot = 0; slot < result->slot_count; slot++)
                json_element(json, value_of(sim_tick_at(result, last_tick(result, slot), i),
                                            (enum series)k));
            json_end_row(json);
        }
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_slots(struct json *json, const struct sim_result *result)
{
    static const char *const rows[] = {"offered", "completed", "refused", "dropped"};
    double length_s = result->seconds / (double)result->slot_count;
    json_begin_object(json, "course");
    json_double(json, "step_s", length_s);
    for (int k = 0; k < 4; k++) {
        json_begin_row(json, rows[k]);
        for (size_t i = 0; i < result->slot_count; i++) {
            const struct sim_slot *slot = &result->slots[i];
            uint64_t values[] = {slot->offered, slot->done, slot->refused, slot->dropped};
            json_element(json, (double)values[k]);
        }
        json_end_row(json);
    }
    json_begin_object(json, "wait_p99_ms");
    for (int c = 0; c < NPI_CLASS_COUNT; c++) {
        if (result->offered_by[c] == 0)
            continue;
        json_begin_row(json, load_classes[c]);
        for (size_t i = 0; i < result->slot_count; i++)
            json_element(json,
                         (double)npi_histogram_quantile(&result->slots[i].wait[c], 990) * 1e-6);
        json_end_row(json);
    }
    json_end_object(json);
    json_end_object(json);
}

static void write_result(struct json *json, const struct sim_result *result)
{
    json_unsigned(json, "events", result->events);
    write_totals(json, result);
    write_classes(json, result);
}

void simulate_write_json(const struct simulation *simulation, FILE *out)
{
    struct json json = {.out = out, .first = true};
    json_begin_object(&json, NULL);
    json_string(&json, "program", "numapool simulate");
    json_unsigned(&json, "format", 1);
    json_string(&json, "machine", simulation->plan->source);
    json_string(&json, "load", simulation->load_path);
    json_string(&json, "mode", simulation->config.mode == NUMAPOOL_FIXED ? "fixed" : "adaptive");
    json_unsigned(&json, "seed", simulation->load.seed);
    json_double(&json, "seconds", simulation->load.seconds);
    json_unsigned(&json, "nodes", simulation->plan->node_count);
    json_unsigned(&json, "workers_max", simulation->config.workers_max);
    json_unsigned(&json, "queue_tasks", simulation->config.queue_tasks);
    write_result(&json, simulation->result);
    write_slots(&json, simulation->result);
    write_shards(&json, simulation);
    if (simulation->even != NULL) {
        json_begin_object(&json, "split_evenly");
        write_result(&json, simulation->even);
        json_end_object(&json);
    }
    json_end_object(&json);
}
