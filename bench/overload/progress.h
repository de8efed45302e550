/*
 * The line that is rewritten once a second while a contender runs, on stderr and only when that is
 * a terminal. Called by the sampler.
 */
#ifndef OVERLOAD_PROGRESS_H
#define OVERLOAD_PROGRESS_H

struct run;
struct sample;

/* Shows the line if a second has passed since the last one. */
void progress_show(struct run *run, const struct sample *sample);

/* Takes the line away. */
void progress_clear(void);

#endif
