/*
 * The rows of the simulator table: what was measured, the bound it is held against, pass or fail.
 */
#ifndef SIM_TABLE_H
#define SIM_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/sim.h"

struct sim_line {
    char text[1024];
    size_t used;
    bool failed;
};

void sim_line_begin(struct sim_line *line, const char *row, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A figure that must not be below (above) its bound. NaN fails. */
void sim_line_least(struct sim_line *line, const char *what, double measured, double bound);
void sim_line_most(struct sim_line *line, const char *what, double measured, double bound);
/* A figure that is only told. */
void sim_line_note(struct sim_line *line, const char *what, double measured);
/* Prints the line; the invariants of the run count as one more check. 0 = passed. */
int sim_line_end(struct sim_line *line, const struct sim_result *result);

/* Defaults for a scenario: policy defaults, and seed 1 unless the command line names another. */
void sim_spec_init(struct sim_spec *spec, double seconds, uint32_t budget_workers);

/* One per row of the table; 0 = passed. */
int sim_row_rate(void);            /* 1 */
int sim_row_cpu_bound(void);       /* 2 */
int sim_row_mixes(void);           /* 3 */
int sim_row_skew(void);            /* 4 */
int sim_row_blocking_flip(void);   /* 5 */
int sim_row_swaps(void);           /* 6 */
int sim_row_flash(void);           /* 7 */
int sim_row_slow_node(void);       /* 8 */
int sim_row_stuck(void);           /* 9 */
int sim_row_quota_change(void);    /* 10 */
int sim_row_many_nodes(void);      /* 11 */
int sim_row_fairness(void);        /* 12 */
int sim_row_phase(void);           /* 13 */
int sim_row_deadline(void);        /* 14 */
int sim_row_classes(void);         /* 15 */
int sim_row_herding(void);         /* 17 */
int sim_row_neighbours(void);      /* 18 */
int sim_row_collapse(void);        /* 19 */
int sim_row_classes_sharded(void); /* 20 */
int sim_row_packages(void);        /* 21 */

#endif
