/*
 * What is done to a pool while producers load it: one thing at a time, each for a while. The names are
 * those that the report prints; which kind of task is stressed meanwhile belongs to the fault.
 */
#ifndef TESTS_SOAK_FAULTS_H
#define TESTS_SOAK_FAULTS_H

#include "soak/soak.h"

struct fault {
    const char *name;
    enum soak_kind stressed;
    /* Called again and again while it is this fault's turn; returns how long to rest. */
    uint64_t (*step)(uint64_t *random);
    bool keeps_reading; /* statistics without a rest meanwhile */
};

extern const struct fault faults[];
extern const unsigned fault_count;

void faults_init(void);        /* signal handlers; once */
void faults_open_thread(void); /* the calling thread takes the signals of faults */
void faults_end(void);         /* of one fault's turn: everybody goes on */

#endif
