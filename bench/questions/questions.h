/* All questions; one file each, which says at its head what is asked and how. */
#ifndef BENCH_QUESTIONS_H
#define BENCH_QUESTIONS_H

#include "suite/bench.h"

extern const struct bench_question question_submit, question_inside, question_wake,
    question_round_trip, question_mixed, question_refuse, question_classes, question_growth,
    question_idle, question_statistics, question_memory, question_scratch, question_tick,
    question_ring, question_nodes, question_sockets;

#endif
