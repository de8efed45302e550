/*
 * A thread that is stopped wherever a test wants it: after any number of instructions, or as soon as
 * shared memory looks a certain way. So every place at which a scheduler might preempt an operation is
 * tried, and the same ones in every run.
 *
 * The processor's trap flag raises SIGTRAP after each instruction; the handler waits there as long as
 * the test likes. For short operations without system calls, on x86-64, in optimised builds without
 * sanitizers: else most of the instructions would be the compiler's own, and thread sanitizer delays
 * signals.
 */
#ifndef NPI_UNIT_STEP_SUPPORT_H
#define NPI_UNIT_STEP_SUPPORT_H

#include "unit/core_support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEP_SUPPORTED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STEP_SUPPORTED 0
#endif
#endif
#if !defined(STEP_SUPPORTED) && defined(__x86_64__) && defined(__OPTIMIZE__)
#define STEP_SUPPORTED 1
#elif !defined(STEP_SUPPORTED)
#define STEP_SUPPORTED 0
#endif

#if STEP_SUPPORTED
#include <errno.h>
#include <sys/wait.h>
#include <ucontext.h>

#define STEP_TRAP_FLAG 0x100

static inline void step_set_flag(void)
{
    __asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" ::"i"(STEP_TRAP_FLAG) : "memory", "cc");
}

static inline void step_clear_flag(void)
{
    __asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq" ::"i"(~STEP_TRAP_FLAG) : "memory", "cc");
}

static inline void step_handle(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    thread_assert(sigaction(SIGTRAP, &action, NULL) == 0);
}

/* ------------------------------------------------------ one operation, in the calling thread */

static void (*step_meanwhile)(void);
static bool step_branched; /* in a child */
static uint64_t step_branches;

/* A child for each instruction: a trap may cost 20 us in a virtual machine, and going there again from
   the beginning would cost one for each instruction before. */
static inline void step_on_trap_inside(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)info;
    pid_t child = fork();
    thread_assert(child >= 0);
    if (child == 0) {
        step_branched = true;
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~STEP_TRAP_FLAG;
        step_meanwhile();
        return;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        thread_assert(errno == EINTR);
    }
    thread_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    step_branches++;
}

/*
 * Runs body(), and for each of its instructions, in a child of its own: body() up to there,
 * meanwhile(), the rest of body(), check(). Then check() here. None of them may use cmocka's
 * assertions. Returns the number of instructions.
 */
static inline uint64_t step_branch(void (*body)(void), void (*meanwhile)(void), void (*check)(void))
{
    step_meanwhile = meanwhile;
    step_branches = 0;
    step_handle(step_on_trap_inside);
    step_set_flag();
    body();
    step_clear_flag();
    check();
    if (step_branched) {
        _exit(EXIT_SUCCESS);
    }
    return step_branches;
}

/* ------------------------------------------------------------- several, in their own threads */

enum step_state { STEP_GOES, STEP_STOPPED, STEP_ENDED };

struct step {
    pthread_t thread;
    void (*body)(void);
    npi_a32 state; /* enum step_state: set to STEP_GOES by the test, to the others by the thread */
    /* set by the test while it is stopped */
    uint64_t steps_more;
    bool (*until)(void *);
    void *until_arg;
    bool freely;
};

static __thread struct step *step_self __attribute__((tls_model("initial-exec")));

static inline void step_stop(struct step *step)
{
    npi_a32_store_release(&step->state, STEP_STOPPED);
    while (npi_a32_load_acquire(&step->state) == STEP_STOPPED) {
        (void)sched_yield();
    }
}

static inline void step_on_trap(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)info;
    struct step *step = step_self;
    bool stop = step->until != NULL ? step->until(step->until_arg) : --step->steps_more == 0;
    if (stop) {
        step_stop(step);
    }
    if (step->freely) {
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~STEP_TRAP_FLAG;
    }
}

static inline void *step_main(void *arg)
{
    struct step *step = arg;
    step_self = step;
    step_stop(step);
    if (!step->freely) {
        __asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" ::"i"(STEP_TRAP_FLAG)
                         : "memory", "cc");
    }
    step->body();
    step_clear_flag();
    npi_a32_store_release(&step->state, STEP_ENDED);
    return NULL;
}

/* True: it stopped. False: its body has ended. */
static inline bool step_await(struct step *step)
{
    uint32_t state;
    while ((state = npi_a32_load_acquire(&step->state)) == STEP_GOES) {
        (void)sched_yield();
    }
    return state == STEP_STOPPED;
}

static inline bool step_go(struct step *step)
{
    npi_a32_store_release(&step->state, STEP_GOES);
    return step_await(step);
}

/* It stands before its body's first instruction. */
static inline void step_start(struct step *step, void (*body)(void))
{
    step_handle(step_on_trap);
    memset(step, 0, sizeof *step);
    step->body = body;
    assert_int_equal(pthread_create(&step->thread, NULL, step_main, step), 0);
    assert_true(step_await(step));
}

/* Lets it go on for so many instructions, or until the condition holds after one of them. */
static inline bool step_by(struct step *step, uint64_t count)
{
    step->until = NULL;
    step->steps_more = count;
    return count == 0 || step_go(step);
}

static inline bool step_until(struct step *step, bool (*until)(void *), void *arg)
{
    step->until = until;
    step->until_arg = arg;
    return step_go(step);
}

/* Lets it go to its end. */
static inline void step_finish(struct step *step)
{
    if (npi_a32_load_acquire(&step->state) == STEP_STOPPED) {
        step->freely = true;
        step->until = NULL;
        step->steps_more = 0;
        (void)step_go(step);
    }
    assert_int_equal(pthread_join(step->thread, NULL), 0);
}
#endif

#endif
