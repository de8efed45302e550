/* Patterns as sums of loads, and the times that tasks take; see load_stream.h. */
#include "tool/load_stream.h"

#include "sim/event.h"
#include "topology/quantity.h"

#include <stdio.h>
#include <string.h>

const char *const load_patterns[] = {"constant", "poisson", "burst",   "ramp",
                                     "step",     "flash",   "diurnal", NULL};
const char *const load_key_names[KEY_SHAPES] = {"rate", "peak", "at", "lasts", "period"};

#define RATE KEY_BIT(KEY_RATE)
#define PEAK KEY_BIT(KEY_PEAK)
#define AT KEY_BIT(KEY_AT)
#define LASTS KEY_BIT(KEY_LASTS)
#define PERIOD KEY_BIT(KEY_PERIOD)

static const struct {
    unsigned needs, takes;
} shapes[] = {
    [LOAD_CONSTANT] = {RATE, RATE},
    [LOAD_POISSON] = {RATE, RATE},
    [LOAD_BURST] = {PEAK | LASTS | PERIOD, RATE | PEAK | LASTS | PERIOD},
    [LOAD_RAMP] = {RATE | PEAK, RATE | PEAK | AT | LASTS},
    [LOAD_STEP] = {RATE | PEAK | AT, RATE | PEAK | AT},
    [LOAD_FLASH] = {RATE | PEAK | AT | LASTS, RATE | PEAK | AT | LASTS},
    [LOAD_DIURNAL] = {RATE | PEAK | PERIOD, RATE | PEAK | PERIOD},
};

unsigned load_pattern_needs(enum load_pattern pattern)
{
    return shapes[pattern].needs;
}

unsigned load_pattern_takes(enum load_pattern pattern)
{
    return shapes[pattern].takes;
}

/* The part of a stream with this rate between two times; until 0 = to its end. */
static struct sim_load *add_part(struct load *load, const struct load_stream *stream, double per_s,
                                 double from, double until)
{
    load->loads = sim_grow(load->loads, load->load_count, &load->load_space, sizeof *load->loads);
    struct sim_load *part = &load->loads[load->load_count++];
    *part = stream->common;
    part->per_s = per_s;
    part->from_s = from > stream->from ? from : stream->from;
    part->until_s = stream->until;
    if (until > 0.0 && !(stream->until > 0.0 && stream->until < until))
        part->until_s = until;
    /* Nothing is left of the part: it must not turn into one without an end. */
    if (until < 0.0 || (part->until_s > 0.0 && part->until_s <= part->from_s))
        load->load_count--;
    return part;
}

void load_add_stream(struct load *load, const struct load_stream *stream)
{
    double after = stream->at + stream->lasts;
    double before = stream->at > 0.0 ? stream->at : -1.0; /* -1: no such part */
    struct sim_load *part;
    switch (stream->pattern) {
    case LOAD_CONSTANT:
        add_part(load, stream, stream->rate, 0.0, 0.0)->even_gaps = true;
        break;
    case LOAD_POISSON:
        add_part(load, stream, stream->rate, 0.0, 0.0);
        break;
    case LOAD_BURST:
        add_part(load, stream, stream->rate, 0.0, 0.0);
        part = add_part(load, stream, stream->peak - stream->rate, 0.0, 0.0);
        part->period_s = stream->period;
        part->off_s = stream->lasts;
        break;
    case LOAD_RAMP:
        part = add_part(load, stream, stream->rate, 0.0, 0.0);
        part->curve = SIM_RAMP;
        part->peak_per_s = stream->peak;
        part->curve_from_s = stream->at;
        part->curve_s = stream->lasts > 0.0 ? stream->lasts : load->seconds - stream->at;
        break;
    case LOAD_STEP:
        add_part(load, stream, stream->rate, 0.0, before);
        add_part(load, stream, stream->peak, stream->at, 0.0);
        break;
    case LOAD_FLASH:
        add_part(load, stream, stream->rate, 0.0, before);
        add_part(load, stream, stream->peak, stream->at, after);
        add_part(load, stream, stream->rate, after, 0.0);
        break;
    case LOAD_DIURNAL:
        part = add_part(load, stream, stream->rate, 0.0, 0.0);
        part->curve = SIM_WAVE;
        part->peak_per_s = stream->peak;
        part->curve_s = stream->period;
        break;
    }
}

static bool milliseconds(const char *text, double *ms)
{
    uint64_t ns;
    if (npi_time_parse(text, &ns) != NPI_QUANTITY_READ || ns > UINT64_C(3600000000000))
        return false;
    *ms = (double)ns * 1e-6;
    return true;
}

bool load_parse_time(const char *text, struct sim_time *time)
{
    char words[4][24] = {"", "", "", ""}, rest[2] = "";
    int count =
        sscanf(text, "%23s %23s %23s %23s %1s", words[0], words[1], words[2], words[3], rest);
    struct sim_time found = {.shape = SIM_FIXED};
    bool fine = false;
    if (count == 1) {
        fine = milliseconds(words[0], &found.ms);
    } else if (count == 2 && strcmp(words[0], "exponential") == 0) {
        found.shape = SIM_EXPONENTIAL;
        fine = milliseconds(words[1], &found.ms);
    } else if (count == 3 && strcmp(words[0], "lognormal") == 0) {
        found.shape = SIM_LOGNORMAL;
        fine = milliseconds(words[1], &found.ms) && npi_share_parse(words[2], &found.spread) &&
               found.spread <= 5.0;
    } else if (count == 4 && strcmp(words[0], "bimodal") == 0) {
        found.shape = SIM_BIMODAL;
        fine = milliseconds(words[1], &found.ms) && milliseconds(words[2], &found.other_ms) &&
               npi_share_parse(words[3], &found.spread) && found.spread <= 1.0;
    }
    if (fine)
        *time = found;
    return fine;
}
