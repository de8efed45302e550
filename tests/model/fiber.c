/* The switch; registers that calls preserve and the stack pointer are all there is to it. */
#include "model/fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_BYTES ((size_t)128 << 10)

static char *stack_of(struct model_fiber *fiber)
{
    if (fiber->stack == NULL) {
        fiber->stack = aligned_alloc(64, STACK_BYTES);
        if (fiber->stack == NULL) {
            (void)fprintf(stderr, "numapool-model: no memory for a stack\n");
            exit(2);
        }
    }
    return fiber->stack;
}

#if defined(__x86_64__)

void model_fiber_jump(void **from, void *to);

__asm__(".text\n"
        ".p2align 4\n"
        ".type model_fiber_jump, @function\n"
        "model_fiber_jump:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size model_fiber_jump, . - model_fiber_jump\n");

void model_fiber_prepare(struct model_fiber *fiber, void (*body)(void))
{
    uintptr_t end = (uintptr_t)(stack_of(fiber) + STACK_BYTES) & ~(uintptr_t)15;
    uint64_t *top = (uint64_t *)end;
    *--top = 0; /* where body would return to: keeps the stack aligned as after a call */
    *--top = (uint64_t)(uintptr_t)body;
    for (int saved = 0; saved < 6; saved++) {
        *--top = 0;
    }
    fiber->top = top;
}

void model_fiber_switch(struct model_fiber *from, struct model_fiber *to)
{
    model_fiber_jump(&from->top, to->top);
}

#else

#include <ucontext.h>

/* Any other processor: some ten times slower, since each switch asks the kernel for the signal mask. */
static ucontext_t *context_of(struct model_fiber *fiber)
{
    if (fiber->top == NULL) {
        fiber->top = calloc(1, sizeof(ucontext_t));
        if (fiber->top == NULL) {
            exit(2);
        }
    }
    return fiber->top;
}

void model_fiber_prepare(struct model_fiber *fiber, void (*body)(void))
{
    ucontext_t *context = context_of(fiber);
    (void)getcontext(context);
    context->uc_stack.ss_sp = stack_of(fiber);
    context->uc_stack.ss_size = STACK_BYTES;
    context->uc_link = NULL;
    makecontext(context, body, 0);
}

void model_fiber_switch(struct model_fiber *from, struct model_fiber *to)
{
    (void)swapcontext(context_of(from), to->top);
}

#endif
