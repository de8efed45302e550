/* The five faults; see history.h. */
#include "stress/history.h"

#include <stdlib.h>

struct put_order {
    uint64_t put_end;
    uint64_t take_begin; /* UINT64_MAX = never taken */
};

static int compare_put_end(const void *a, const void *b)
{
    uint64_t x = ((const struct put_order *)a)->put_end;
    uint64_t y = ((const struct put_order *)b)->put_end;
    return x < y ? -1 : x > y;
}

/* Of the values whose put ended before `begin`: when did the last of them begin to be taken? 0 =
   there are none. latest[i] is the maximum over the first i + 1 in the order of put_end. */
static uint64_t latest_take_before(const struct put_order *order, const uint64_t *latest,
                                   size_t count, uint64_t begin)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order[middle].put_end < begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? 0 : latest[low - 1];
}

/* Fills order and latest with the values for which `lost` is allowed; returns how many. */
static size_t sort_puts(const struct history *history, _Bool lost_too, struct put_order *order,
                        uint64_t *latest)
{
    size_t count = 0;
    for (size_t i = 0; i < history->value_count; i++) {
        const struct history_value *value = &history->values[i];
        if (value->puts != 0 && (value->takes != 0 || lost_too)) {
            order[count++] = (struct put_order){value->put.end,
                                                value->takes != 0 ? value->take.begin : UINT64_MAX};
        }
    }
    qsort(order, count, sizeof *order, compare_put_end);
    uint64_t maximum = 0;
    for (size_t i = 0; i < count; i++) {
        maximum = order[i].take_begin > maximum ? order[i].take_begin : maximum;
        latest[i] = maximum;
    }
    return count;
}

_Bool history_check(const struct history *history, struct history_faults *faults)
{
    *faults = (struct history_faults){0};
    struct put_order *order = malloc((history->value_count + 1) * sizeof *order);
    uint64_t *latest = malloc((history->value_count + 1) * sizeof *latest);
    if (order == NULL || latest == NULL) {
        free(order);
        free(latest);
        return 0;
    }
    size_t count = sort_puts(history, 0, order, latest);
    for (size_t i = 0; i < history->value_count; i++) {
        const struct history_value *value = &history->values[i];
        faults->repeated += value->takes > 1;
        faults->lost += value->puts != 0 && value->takes == 0;
        if (value->takes == 0) {
            continue;
        }
        faults->fresh += value->puts == 0 || value->take.end < value->put.begin;
        faults->order += value->puts != 0 && latest_take_before(order, latest, count,
                                                                value->put.begin) > value->take.end;
    }
    count = sort_puts(history, 1, order, latest);
    for (size_t i = 0; i < history->empty_count; i++) {
        const struct history_span *empty = &history->empties[i];
        faults->false_empty += latest_take_before(order, latest, count, empty->begin) > empty->end;
    }
    free(order);
    free(latest);
    return 1;
}
