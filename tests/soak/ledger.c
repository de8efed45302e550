/* See ledger.h. An argument is index, note, slot and generation from the top bits down. */
#include "soak/ledger.h"

#include "soak/soak.h"

#include <stdlib.h>

#define RUN 1u
#define DROPPED 4u
#define MARKS 15u
#define MARK_BITS 4

#define SLOT_SHIFT LEDGER_GENERATION_BITS
#define NOTE_SHIFT 48
#define INDEX_SHIFT 56
#define SLOT_MASK ((UINT64_C(1) << LEDGER_SLOT_BITS) - 1)
#define GENERATION_MASK ((UINT32_C(1) << LEDGER_GENERATION_BITS) - 1)

static _Atomic uint32_t *words_of[SOAK_PRODUCERS_MAX];
static void **seconds_of[SOAK_PRODUCERS_MAX];

bool ledger_open(struct ledger *ledger, unsigned index, uint32_t slots)
{
    *ledger = (struct ledger){.index = index, .slots = slots};
    ledger->words = calloc(slots, sizeof *ledger->words);
    ledger->issued = calloc(slots, 1);
    ledger->second = calloc(slots, sizeof *ledger->second);
    words_of[index] = ledger->words;
    seconds_of[index] = ledger->second;
    return ledger->words != NULL && ledger->issued != NULL && ledger->second != NULL;
}

/* The next generation of a slot, without marks. */
static uint32_t next_word(uint32_t word)
{
    return ((word >> MARK_BITS) + 1) << MARK_BITS;
}

/* False: it has not ended yet. Other marks than one were told of by whoever made them. */
static bool retire(struct ledger *ledger, uint32_t slot)
{
    uint32_t word = atomic_load_explicit(&ledger->words[slot], memory_order_acquire);
    if ((word & MARKS) == 0) {
        return false;
    }
    ledger->run += (word & MARKS) == RUN;
    ledger->dropped += (word & MARKS) == DROPPED;
    ledger->issued[slot] = 0;
    atomic_store_explicit(&ledger->words[slot], next_word(word), memory_order_relaxed);
    return true;
}

static void check_unused(struct ledger *ledger, uint32_t slot)
{
    if ((atomic_load_explicit(&ledger->words[slot], memory_order_relaxed) & MARKS) != 0) {
        soak_violation("a task of producer %u was refused and ended all the same", ledger->index);
    }
}

void ledger_close(struct ledger *ledger)
{
    for (uint32_t slot = 0; slot < ledger->slots; slot++) {
        if (ledger->issued[slot] == 0) {
            check_unused(ledger, slot);
        } else if (!retire(ledger, slot)) {
            soak_violation("a task of producer %u was accepted and never ended", ledger->index);
        }
    }
    free(ledger->words);
    free(ledger->issued);
    free(ledger->second);
    words_of[ledger->index] = NULL;
    seconds_of[ledger->index] = NULL;
}

void *ledger_draw(struct ledger *ledger, uint8_t note)
{
    for (uint32_t tries = 0; tries < ledger->slots; tries++) {
        uint32_t slot = ledger->next;
        ledger->next = slot + 1 < ledger->slots ? slot + 1 : 0;
        if (ledger->issued[slot] != 0 && !retire(ledger, slot)) {
            continue;
        }
        check_unused(ledger, slot);
        uint32_t word = next_word(atomic_load_explicit(&ledger->words[slot], memory_order_relaxed));
        atomic_store_explicit(&ledger->words[slot], word, memory_order_relaxed);
        uint64_t text = (uint64_t)ledger->index << INDEX_SHIFT | (uint64_t)note << NOTE_SHIFT |
                        (uint64_t)slot << SLOT_SHIFT | word >> MARK_BITS;
        return (void *)(uintptr_t)text;
    }
    return NULL;
}

static uint32_t slot_of(const void *task)
{
    return (uint32_t)((uint64_t)(uintptr_t)task >> SLOT_SHIFT & SLOT_MASK);
}

void ledger_issue(struct ledger *ledger, void *task)
{
    ledger->issued[slot_of(task)] = 1;
    ledger->issues++;
}

static void mark(const void *task, uint32_t how)
{
    uint64_t text = (uint64_t)(uintptr_t)task;
    uint32_t before = atomic_fetch_add_explicit(&words_of[text >> INDEX_SHIFT][slot_of(task)], how,
                                                memory_order_acq_rel);
    if (before >> MARK_BITS != (text & GENERATION_MASK)) {
        soak_violation("a task ended again after its slot was in use for another");
    } else if ((before & MARKS) != 0) {
        soak_violation("a task ended twice: %u times run, %u times dropped, then %s", before & 3,
                       before >> 2 & 3, how == RUN ? "run" : "dropped");
    }
}

void ledger_run(void *task)
{
    mark(task, RUN);
}

void ledger_drop(void *task, int why)
{
    SOAK_CHECK(why == NUMAPOOL_E_DEADLINE || why == NUMAPOOL_E_CLOSED || why == NUMAPOOL_E_SHED ||
               why == NUMAPOOL_E_CANCELLED);
    mark(task, DROPPED);
}

uint8_t ledger_note(const void *task)
{
    return (uint8_t)((uint64_t)(uintptr_t)task >> NOTE_SHIFT);
}

void ledger_pair(struct ledger *ledger, const void *first, void *second)
{
    ledger->second[slot_of(first)] = second;
}

void *ledger_second(const void *first)
{
    return seconds_of[(uint64_t)(uintptr_t)first >> INDEX_SHIFT][slot_of(first)];
}
