/* Parts by themselves: the stack of sleepers under reuse, and words that are replaced as a whole. */
#include "model/cases.h"

#include "base/snapshot.h"
#include "queue/gate.h"

#include <string.h>

/* ------------------------------------------------------------- the stack: reuse of the top */

#define SLEEPERS 3

static struct npi_sleeper sleepers[SLEEPERS];
static struct npi_gate gate;
static bool popped[SLEEPERS];

/* Whoever it is, it is in the stack no more, and nobody else got it. */
static uint32_t pop(void)
{
    uint32_t worker = npi_gate_pop(&gate, NPI_SLEEPER_WOKEN);
    if (worker != NPI_GATE_NOBODY) {
        MODEL_CHECK(worker < SLEEPERS && !popped[worker]);
        popped[worker] = true;
    }
    return worker;
}

static void pop_once(void *arg)
{
    (void)arg;
    (void)pop();
}

static void pop_two_push_first(void *arg)
{
    (void)arg;
    uint32_t first = pop();
    (void)pop();
    if (first != NPI_GATE_NOBODY) {
        popped[first] = false;
        npi_gate_push(&gate, first);
    }
}

/* A sleeper's time is up while it may be popped. */
static void quit(void *arg)
{
    uint32_t worker = (uint32_t)(uintptr_t)arg;
    if (npi_gate_quit(&gate, worker)) {
        MODEL_CHECK(!popped[worker]);
        popped[worker] = true; /* nobody may get it any more */
        model_reach(1);
    } else {
        model_reach(0); /* whoever popped it says so when its pop has returned */
    }
}

static void setup_gate(void)
{
    memset(sleepers, 0, sizeof sleepers);
    memset(popped, 0, sizeof popped);
    npi_gate_init(&gate, sleepers, SLEEPERS);
    for (uint32_t i = 0; i < SLEEPERS; i++) {
        npi_gate_push(&gate, i);
    }
}

static void setup_stack(void)
{
    setup_gate();
    (void)model_spawn("popper", pop_once, NULL);
    (void)model_spawn("popper", pop_once, NULL);
    (void)model_spawn("pusher", pop_two_push_first, NULL);
}

static void check_stack(void)
{
    while (pop() != NPI_GATE_NOBODY) {
    }
    for (unsigned i = 0; i < SLEEPERS; i++) {
        MODEL_CHECK(popped[i]);
    }
}

const struct model_case model_case_sleeper_stack = {
    .name = "sleeper_stack",
    .about = "sleepers are popped by three threads while one of them comes back",
    .setup = setup_stack,
    .check = check_stack,
};

static void setup_quit(void)
{
    setup_gate();
    (void)model_spawn("popper", pop_once, NULL);
    (void)model_spawn("pusher", pop_two_push_first, NULL);
    (void)model_spawn("sleeper", quit, (void *)2);
}

static void check_quit(void)
{
    while (pop() != NPI_GATE_NOBODY) {
    }
    for (unsigned i = 0; i < SLEEPERS; i++) {
        uint32_t state = npi_a32_load_relaxed(&sleepers[i].word);
        MODEL_CHECK(popped[i]);
        MODEL_CHECK(state == NPI_SLEEPER_WOKEN || state == NPI_SLEEPER_FREE);
    }
}

const struct model_case model_case_sleeper_quits = {
    .name = "sleeper_quits",
    .about = "a sleeper ends while others pop it or what is below it",
    .setup = setup_quit,
    .check = check_quit,
    .reach = 1, /* it was popped first */
};

/* -------------------------------------------------------------------------------- snapshot */

#define WORDS 2

static npi_a64 version, words[WORDS];
static uint64_t newest[2];

static void write_twice(void *arg)
{
    (void)arg;
    for (uint64_t value = 1; value <= 2; value++) {
        uint64_t whole[WORDS] = {value, value};
        npi_snapshot_write(&version, words, whole, WORDS);
    }
}

static void read_twice(void *arg)
{
    unsigned reader = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < 2; i++) {
        uint64_t copy[WORDS];
        if (npi_snapshot_read(&version, words, copy, WORDS)) {
            MODEL_CHECK(copy[0] == copy[1]);
            MODEL_CHECK(copy[0] >= newest[reader]);
            newest[reader] = copy[0];
            model_reach((unsigned)copy[0]);
        } else {
            model_reach(3);
        }
    }
}

static void setup_snapshot(void)
{
    npi_a64_init(&version, 0);
    npi_a64_init(&words[0], 0);
    npi_a64_init(&words[1], 0);
    memset(newest, 0, sizeof newest);
    (void)model_spawn("writer", write_twice, NULL);
    (void)model_spawn("reader", read_twice, (void *)0);
    (void)model_spawn("reader", read_twice, (void *)1);
}

const struct model_case model_case_snapshot = {
    .name = "snapshot",
    .about = "a few words are replaced as a whole while two threads read them",
    .setup = setup_snapshot,
    .reach = 15, /* the first, the second and the third value were read; a torn one was noticed */
};
