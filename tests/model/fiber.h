/*
 * Stacks of the model's threads, and the switch between them. No operating-system threads: one
 * execution of the checker is some hundred switches, and millions of executions are wanted.
 */
#ifndef NPI_MODEL_FIBER_H
#define NPI_MODEL_FIBER_H

#include <stddef.h>

struct model_fiber {
    void *top; /* saved stack pointer, or a ucontext_t */
    char *stack;
};

/* The next switch to it calls body, which never returns. Its stack is made once and used again. */
void model_fiber_prepare(struct model_fiber *fiber, void (*body)(void));
void model_fiber_switch(struct model_fiber *from, struct model_fiber *to);

#endif
