/*
 * Watches a run from beside it: a thread that wakes every 20 ms, notes how far the requests are,
 * and every 100 ms also what the process uses and how the shards stand.
 */
#ifndef OVERLOAD_SAMPLER_H
#define OVERLOAD_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

struct run;

/* What the kernel says of this process; 0 where it does not. */
struct process_gauge {
    uint64_t rss_bytes;
    uint64_t rss_peak_bytes;
    uint64_t threads;
};

void process_read(struct process_gauge *gauge);

/* A contender that knows how many threads it has tells it here: the sampler alone would miss a peak
   between two looks. From any thread. */
void sampler_saw_threads(uint64_t threads);

/* Starts before the first request; needs run->start_ns and all generators. */
bool sampler_start(struct run *run);

/* Ends the thread, adds a last sample, and fills what it knows of run->result->figures. */
void sampler_stop(struct run *run);

#endif
