/*
 * Exactly once, for any number of tasks in bounded memory. A producer has a window of slots; a task
 * is a slot and the slot's generation, both in its argument. Running and dropping add to the slot's
 * word, and whoever finds another generation there or an earlier mark has found a task that ended
 * twice. A slot is used again only when its task has ended; what never ends is found when the ledger
 * is closed.
 */
#ifndef TESTS_SOAK_LEDGER_H
#define TESTS_SOAK_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_SLOT_BITS 20
#define LEDGER_GENERATION_BITS 28

struct ledger {
    unsigned index;
    uint32_t slots;
    uint32_t next;
    _Atomic uint32_t *words; /* generation, times dropped, times run */
    uint8_t *issued;         /* the producer's own: accepted and not yet seen to have ended */
    void **second;           /* what a task has to hand in itself */
    uint64_t issues, run, dropped;
};

/* The slots of all ledgers are found by number: open before the first task, close after the last. */
bool ledger_open(struct ledger *ledger, unsigned index, uint32_t slots);
/* Every task that was issued must have ended, and no other. Counts others as violations. */
void ledger_close(struct ledger *ledger);

/* An argument for a task to come, or NULL when all slots are in use. `note` is kept in it. */
void *ledger_draw(struct ledger *ledger, uint8_t note);
/* It was accepted. Not accepted: nothing has to be done. */
void ledger_issue(struct ledger *ledger, void *task);

/* From anywhere: the task has run, was dropped. */
void ledger_run(void *task);
void ledger_drop(void *task, int why);
uint8_t ledger_note(const void *task);

/* A task that hands in a second one: said before the first is handed in, asked from inside it. */
void ledger_pair(struct ledger *ledger, const void *first, void *second);
void *ledger_second(const void *first);

#endif
