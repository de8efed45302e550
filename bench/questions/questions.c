/* The table, in the order of a task's journey. */
#include "questions/questions.h"

const struct bench_question *const bench_questions[] = {
    &question_submit,
    &question_inside,
    &question_wake,
    &question_round_trip,
    &question_mixed,
    &question_refuse,
    &question_classes,
    &question_growth,
    &question_idle,
    &question_memory,
    &question_scratch,
    &question_statistics,
    &question_ring,
    &question_tick,
    &question_nodes,
    &question_sockets,
    NULL,
};
