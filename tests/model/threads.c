/* Who runs: threads of the model, what they wait for, time, and the end of an execution. */
#include "model/internal.h"

#include <errno.h>
#include <string.h>

/* Rescues by a time-out after all but daemons have ended. */
#define LATE_RESCUES 8

/* Threads that yield to each other, and nothing is written: after so many rounds time passes, after so
   many nothing will ever change. */
#define ROUNDS_PATIENT 2
#define ROUNDS_MOST 32

static void **local_word;

void model_thread_local(void **word)
{
    local_word = word;
}

static struct thread *self(void)
{
    return &run.threads[run.current];
}

static void body(void);

void threads_begin(void)
{
    run.count = 0;
    run.current = NOBODY;
    run.queue_number = 0;
    run.now_ns = 1000000000;
    run.prologue = false;
    run.late_rescues = 0;
    run.idle_rounds = 0;
    run.step = 0;
    if (local_word != NULL) {
        *local_word = NULL;
    }
}

static int spawn(const char *name, void (*run_body)(void *), void *arg, bool daemon)
{
    if (run.count == MODEL_THREADS) {
        model_fail("more than %d threads", MODEL_THREADS);
        return -1;
    }
    int number = run.count++;
    struct thread *thread = &run.threads[number];
    struct model_fiber fiber = thread->fiber;
    memset(thread, 0, sizeof *thread);
    thread->fiber = fiber;
    thread->body = run_body;
    thread->arg = arg;
    thread->name = name;
    thread->state = RUNNABLE;
    thread->daemon = daemon;
    if (run.current != NOBODY) {
        memory_drain(self());
        memcpy(thread->clock, self()->clock, sizeof(clocks));
        self()->clock[run.current]++;
    }
    thread->clock[number] = 1;
    model_fiber_prepare(&thread->fiber, body);
    return number;
}

int model_spawn(const char *name, void (*run_body)(void *), void *arg)
{
    return spawn(name, run_body, arg, false);
}

int model_spawn_daemon(const char *name, void (*run_body)(void *), void *arg)
{
    return spawn(name, run_body, arg, true);
}

int model_spawn_late(const char *name, void (*run_body)(void *), void *arg)
{
    int number = spawn(name, run_body, arg, false);
    if (number >= 0) {
        run.threads[number].state = LATE;
        run.prologue = true;
    }
    return number;
}

void model_name(int thread, const char *name)
{
    run.threads[thread].name = name;
}

bool model_ended(int thread)
{
    return run.threads[thread].state == DONE;
}

bool model_is_frozen(int thread)
{
    return run.threads[thread].state == FROZEN;
}

int model_self(void)
{
    return run.current;
}

void model_may_freeze(bool may)
{
    self()->may_freeze = may;
}

/* -------------------------------------------------------------------------------- choosing */

static void go_to(int next)
{
    if (next == run.current) {
        return;
    }
    struct thread *from = self();
    if (local_word != NULL) {
        from->local = *local_word;
        *local_word = run.threads[next].local;
    }
    run.current = next;
    model_fiber_switch(&from->fiber, &run.threads[next].fiber);
}

static bool has_date(const struct thread *thread)
{
    return thread->state == PARKED && thread->deadline_ns != UINT64_MAX;
}

static void time_out(struct thread *thread)
{
    thread->state = RUNNABLE;
    thread->timed_out = true;
    if (thread->deadline_ns > run.now_ns) {
        run.now_ns = thread->deadline_ns;
    }
}

/* One of the waits with a date ends early, beside threads that could run. */
static unsigned add_waiters(uint8_t *options, unsigned count)
{
    if (run.program->timeouts && run.budget > 0) {
        for (int i = 0; i < run.count; i++) {
            if (i != run.current && has_date(&run.threads[i]) &&
                run.threads[i].wait_ns <= run.program->rescue_ns_max) {
                options[count++] = (uint8_t)i;
            }
        }
    }
    return count;
}

static void take_turn(int next)
{
    if (run.threads[next].state == PARKED) {
        run.budget--;
        time_out(&run.threads[next]);
    }
    go_to(next);
}

/* Everybody knows what the prologue did. */
static bool end_prologue(void)
{
    if (!run.prologue) {
        return false;
    }
    run.prologue = false;
    clocks all = {0};
    for (int i = 0; i < run.count; i++) {
        memory_drain(&run.threads[i]);
        clocks_join(all, run.threads[i].clock);
    }
    for (int i = 0; i < run.count; i++) {
        clocks_join(run.threads[i].clock, all);
        run.threads[i].clock[i]++;
        if (run.threads[i].state == LATE) {
            run.threads[i].state = RUNNABLE;
        }
    }
    return true;
}

/* Nobody can run: what happens then, in this order. False: nothing. */
static bool rescue(void)
{
    bool any = false, all_ended = true;
    for (int i = 0; i < run.count; i++) {
        memory_drain(&run.threads[i]);
    }
    for (int i = 0; i < run.count; i++) {
        struct thread *thread = &run.threads[i];
        if (thread->state == RUNNABLE) {
            return true; /* what was written out concerns it */
        }
        if (thread->state == YIELDED) {
            thread->state = RUNNABLE;
            any = true;
        }
        all_ended =
            all_ended && (thread->state == DONE || thread->state == FROZEN || thread->daemon);
    }
    if (any && run.idle_rounds++ < ROUNDS_PATIENT) {
        return true;
    }
    if (end_prologue()) {
        return true;
    }
    struct thread *first = NULL;
    for (int i = 0; i < run.count; i++) {
        struct thread *thread = &run.threads[i];
        if (has_date(thread) && thread->wait_ns <= run.program->rescue_ns_max &&
            (first == NULL || thread->deadline_ns < first->deadline_ns)) {
            first = thread;
        }
    }
    if (first != NULL && (!all_ended || run.late_rescues++ < LATE_RESCUES)) {
        run.idle_rounds = 0;
        time_out(first);
        return true;
    }
    if (any) {
        if (run.idle_rounds > ROUNDS_MOST) {
            model_fail("livelock: threads go round and nobody can change anything");
        }
        return true;
    }
    for (int i = 0; i < run.count; i++) {
        struct thread *thread = &run.threads[i];
        if (thread->state != FROZEN) {
            continue;
        }
        for (int other = 0; other < run.count; other++) {
            if (other != i && run.threads[other].state != DONE && !run.threads[other].daemon) {
                model_fail("%s cannot go on beside %s, which is stopped", run.threads[other].name,
                           thread->name);
            }
        }
        if (run.program->beside != NULL) {
            int current = run.current;
            run.current = NOBODY;
            run.program->beside();
            run.current = current;
            if (run.failed) {
                end_execution();
            }
        }
        thread->state = RUNNABLE;
        run.late_rescues = 0;
        return true;
    }
    return false;
}

/* The current thread cannot or shall not go on: somebody else does. */
static void leave(void)
{
    for (;;) {
        uint8_t options[MODEL_THREADS];
        unsigned count = 0;
        for (int i = 0; i < run.count; i++) {
            if (run.threads[i].state == RUNNABLE) {
                options[count++] = (uint8_t)i;
            }
        }
        if (count != 0) {
            count = add_waiters(options, count);
            take_turn(options[choose('r', count, options)]);
            return;
        }
        if (!rescue()) {
            break;
        }
    }
    for (int i = 0; i < run.count; i++) {
        const struct thread *thread = &run.threads[i];
        if (thread->state == DONE || thread->daemon) {
            continue;
        }
        if (has_date(thread)) {
            model_fail("lost wake-up: only a time-out of %llu ns ends the wait of %s",
                       (unsigned long long)thread->wait_ns, thread->name);
        }
        model_fail("lost wake-up: %s waits for ever", thread->name);
    }
    end_execution();
}

static void body(void)
{
    struct thread *me = self();
    me->body(me->arg);
    run.step++; /* every point has a number of its own, which replay goes by */
    point();
    memory_drain(me);
    me->state = DONE;
    for (int i = 0; i < run.count; i++) {
        struct thread *other = &run.threads[i];
        if (other->state == JOINING && other->joins == run.current) {
            clocks_join(other->clock, me->clock);
            other->state = RUNNABLE;
        }
    }
    progress();
    leave();
    end_execution(); /* not reached: nobody switches to one that has ended */
}

void threads_start(void)
{
    uint8_t options[MODEL_THREADS];
    unsigned count = 0;
    for (int i = 0; i < run.count; i++) {
        if (run.threads[i].state == LATE) {
            continue;
        }
        options[count++] = (uint8_t)i;
    }
    if (count == 0 && end_prologue()) {
        threads_start();
        return;
    }
    if (count == 0) {
        return;
    }
    int first = options[choose('r', count, options)];
    run.current = first;
    if (local_word != NULL) {
        *local_word = run.threads[first].local;
    }
    model_fiber_switch(&run.main, &run.threads[first].fiber);
}

void progress(void)
{
    run.idle_rounds = 0;
    for (int i = 0; i < run.count; i++) {
        if (run.threads[i].state == YIELDED && i != run.current) {
            run.threads[i].state = RUNNABLE;
        }
    }
}

void point(void)
{
    struct thread *me = self();
    if (me->may_freeze && !me->was_frozen && deviates('z', true)) {
        me->was_frozen = true;
        me->state = FROZEN;
        leave();
        return;
    }
    if (run.budget <= 0) {
        return;
    }
    uint8_t options[2 * MODEL_THREADS];
    unsigned count = 0;
    options[count++] = (uint8_t)run.current;
    for (int i = 0; i < run.count; i++) {
        if (i != run.current && run.threads[i].state == RUNNABLE) {
            options[count++] = (uint8_t)i;
        }
    }
    count = add_waiters(options, count);
    unsigned option = choose('p', count, options);
    if (option != 0) {
        run.budget -= run.threads[options[option]].state == RUNNABLE;
        take_turn(options[option]);
    }
}

/* --------------------------------------------------------------------------------- waiting */

void model_yield(void)
{
    if (run.current == NOBODY) {
        return;
    }
    if (++run.step > (run.program->steps_max != 0 ? run.program->steps_max : 4000)) {
        model_fail("livelock: more than %u steps", run.step - 1);
    }
    self()->state = YIELDED;
    leave();
}

void model_pause(void)
{
    model_yield();
}

int model_park_wait(const uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
    /* A load as far as others are concerned; the kernel reads the newest value. */
    (void)model_load(word, sizeof *word, MODEL_RELAXED);
    struct thread *me = self();
    memory_drain(me);
    if (*word != value) {
        return 0;
    }
    if (deadline_ns <= run.now_ns) {
        return -ETIMEDOUT;
    }
    if (run.budget > 0 && deviates('w', false)) {
        return 0;
    }
    if (run.trace) {
        trace("sleeps", word, value, __builtin_return_address(0));
    }
    me->state = PARKED;
    me->waits_for = word;
    me->deadline_ns = deadline_ns;
    me->wait_ns = deadline_ns - run.now_ns;
    me->queued = run.queue_number++;
    me->timed_out = false;
    leave();
    return me->timed_out ? -ETIMEDOUT : 0;
}

void model_park_wake(const uint32_t *word, unsigned count)
{
    if (run.current == NOBODY) {
        return;
    }
    (void)model_load(word, sizeof *word, MODEL_RELAXED);
    memory_drain(self());
    if (run.trace) {
        trace("wakes", word, count, __builtin_return_address(0));
    }
    while (count-- != 0) {
        struct thread *longest = NULL;
        for (int i = 0; i < run.count; i++) {
            struct thread *thread = &run.threads[i];
            if (thread->state == PARKED && thread->waits_for == word &&
                (longest == NULL || thread->queued < longest->queued)) {
                longest = thread;
            }
        }
        if (longest == NULL) {
            return;
        }
        longest->state = RUNNABLE;
    }
}

/* Who has it, and what the last holder knew. */
static struct mutex {
    const void *mutex;
    uint32_t epoch;
    int holder;
    clocks clock;
} mutexes[4];

static struct mutex *mutex_of(const void *mutex)
{
    for (unsigned i = 0; i < sizeof mutexes / sizeof mutexes[0]; i++) {
        if (mutexes[i].epoch != run.epoch || mutexes[i].mutex == mutex) {
            if (mutexes[i].epoch != run.epoch) {
                mutexes[i] = (struct mutex){.mutex = mutex, .epoch = run.epoch, .holder = NOBODY};
            }
            return &mutexes[i];
        }
    }
    model_fail("too many mutexes");
    return &mutexes[0];
}

void model_lock(void *mutex)
{
    if (run.current == NOBODY) {
        return;
    }
    run.step++;
    point();
    struct mutex *entry = mutex_of(mutex);
    while (entry->holder != NOBODY) {
        self()->state = LOCKED_OUT;
        self()->waits_for = mutex;
        leave();
    }
    entry->holder = run.current;
    memory_drain(self());
    clocks_join(self()->clock, entry->clock);
}

void model_unlock(void *mutex)
{
    if (run.current == NOBODY) {
        return;
    }
    run.step++;
    struct mutex *entry = mutex_of(mutex);
    memory_drain(self());
    entry->holder = NOBODY;
    clocks_join(entry->clock, self()->clock);
    self()->clock[run.current]++;
    for (int i = 0; i < run.count; i++) {
        if (run.threads[i].state == LOCKED_OUT && run.threads[i].waits_for == mutex) {
            run.threads[i].state = RUNNABLE;
        }
    }
    progress();
}

void model_join(int thread)
{
    struct thread *other = &run.threads[thread];
    if (other->state == DONE) {
        clocks_join(self()->clock, other->clock);
        return;
    }
    self()->state = JOINING;
    self()->joins = thread;
    leave();
}

/* ------------------------------------------------------------------------------------ time */

/* Only a word that somebody moves is worth a choice. */
static uint64_t passes;

uint64_t model_now_ns(void)
{
    if (run.current != NOBODY) {
        (void)model_load(&passes, sizeof passes, MODEL_SC);
    }
    return run.now_ns;
}

uint64_t model_ticks(void)
{
    return model_now_ns() + run.step;
}

void model_pass_time(uint64_t ns)
{
    (void)model_add(&passes, sizeof passes, 1, MODEL_SC);
    run.now_ns += ns;
}
