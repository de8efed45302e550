/* The table. */
#include "questions/questions.h"

#include <stddef.h>

const struct bench_question *const bench_questions[] = {
    &question_submit, &question_wake, &question_round_trip, &question_mixed, &question_refuse, NULL,
};
