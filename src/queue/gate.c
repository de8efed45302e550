/* Permits and sleepers; the protocol stands in gate.h. */
#include "queue/gate.h"

#include "base/check.h"
#include "os/os.h"

#include <errno.h>

void npi_gate_init(struct npi_gate *gate, struct npi_sleeper *sleepers, uint32_t limit)
{
    gate->sleepers = sleepers;
    npi_a64_init(&gate->permits, (uint64_t)limit << NPI_GATE_FREE_SHIFT);
    npi_a64_init(&gate->parked, 0);
    npi_a64_init(&gate->wakes, 0);
}

bool npi_gate_reserve(struct npi_gate *gate, bool alone)
{
    uint64_t permits = npi_a64_load_sc(&gate->permits);
    for (;;) {
        if (NPI_MUTANT(limit_off_by_one, npi_permits_free(permits) <= 0,
                       npi_permits_free(permits) < 0) ||
            (alone && NPI_MUTANT(searcher_ignored, npi_permits_searching(permits) != 0, false))) {
            return false;
        }
        if (NPI_MUTANT(
                permit_by_store,
                npi_a64_cas_sc(&gate->permits, &permits,
                               permits + NPI_GATE_PERMIT + NPI_GATE_SEARCHING),
                (npi_a64_store_sc(&gate->permits, permits + NPI_GATE_PERMIT + NPI_GATE_SEARCHING),
                 true))) {
            return true;
        }
    }
}

bool npi_gate_leave_if_over(struct npi_gate *gate)
{
    uint64_t permits = npi_a64_load_sc(&gate->permits);
    while (NPI_MUTANT(over_off_by_one, npi_permits_over(permits), npi_permits_free(permits) <= 0)) {
        if (npi_a64_cas_sc(&gate->permits, &permits, permits - NPI_GATE_PERMIT)) {
            return true;
        }
    }
    return false;
}

static uint64_t with_limit(uint64_t permits, uint32_t limit)
{
    uint64_t free = (uint64_t)limit - npi_permits_active(permits);
    uint64_t rest_mask = (UINT64_C(1) << NPI_GATE_FREE_SHIFT) - 1;
    return free << NPI_GATE_FREE_SHIFT | (permits & rest_mask);
}

uint64_t npi_gate_set_limit(struct npi_gate *gate, uint32_t limit)
{
    uint64_t permits = npi_a64_load_sc(&gate->permits);
    while (NPI_MUTANT(limit_by_store,
                      !npi_a64_cas_sc(&gate->permits, &permits, with_limit(permits, limit)),
                      (npi_a64_store_sc(&gate->permits, with_limit(permits, limit)), false))) {
    }
    return permits;
}

void npi_gate_push(struct npi_gate *gate, uint32_t worker)
{
    struct npi_sleeper *sleeper = &gate->sleepers[worker];
    npi_a32_store_relaxed(&sleeper->word, NPI_SLEEPER_ASLEEP);
    uint64_t top = npi_a64_load_relaxed(&gate->parked);
    uint64_t mine;
    do {
        npi_a32_store_relaxed(&sleeper->next, (uint32_t)top);
        /* The change count makes a pop fail that read our link before we were pushed again. */
        mine = NPI_MUTANT(push_uncounted, ((top >> 32) + 1), (top >> 32)) << 32 | (worker + 1);
    } while (!npi_a64_cas_release(&gate->parked, &top, mine)); /* @sleeper-pushed */
}

uint32_t npi_gate_pop(struct npi_gate *gate, enum npi_sleeper_state state)
{
    uint64_t top = npi_a64_load_acquire(&gate->parked); /* @sleeper-pushed */
    for (;;) {
        uint32_t index = (uint32_t)top;
        if (index == 0) {
            return NPI_GATE_NOBODY;
        }
        struct npi_sleeper *sleeper = &gate->sleepers[index - 1];
        uint64_t below = NPI_MUTANT(pop_uncounted, ((top >> 32) + 1), (top >> 32)) << 32 |
                         npi_a32_load_relaxed(&sleeper->next);
        if (!npi_a64_cas_acq_rel(&gate->parked, &top, below)) {
            continue;
        }
        if (NPI_MUTANT(pop_wakes_the_left,
                       npi_a32_swap_acq_rel(&sleeper->word, (uint32_t)state) == NPI_SLEEPER_ASLEEP,
                       (npi_a32_swap_acq_rel(&sleeper->word, (uint32_t)state), true))) {
            return index - 1; /* @permit-passed */
        }
        /* Its thread has left. Nobody but us holds the slot now. */
        npi_a32_store_release(&sleeper->word, NPI_SLEEPER_FREE);
        top = npi_a64_load_acquire(&gate->parked);
    }
}

void npi_gate_rouse(struct npi_gate *gate, uint32_t worker)
{
    (void)npi_a64_add_relaxed(&gate->wakes, 1);
    NPI_MUTANT(rouse_without_wake, npi_park_wake(&gate->sleepers[worker].word, 1), (void)0);
}

enum npi_sleeper_state npi_gate_sleep(struct npi_gate *gate, uint32_t worker, uint64_t deadline_ns)
{
    npi_a32 *word = &gate->sleepers[worker].word;
    uint32_t state;
    while ((state = npi_a32_load_acquire(word)) == NPI_SLEEPER_ASLEEP) { /* @permit-passed */
        if (npi_park_wait(word, NPI_SLEEPER_ASLEEP, deadline_ns) == -ETIMEDOUT) {
            state = npi_a32_load_acquire(word);
            break;
        }
    }
    return (enum npi_sleeper_state)state;
}

bool npi_gate_quit(struct npi_gate *gate, uint32_t worker)
{
    uint32_t asleep = NPI_SLEEPER_ASLEEP;
    return NPI_MUTANT(
        quit_by_store, npi_a32_cas_acq_rel(&gate->sleepers[worker].word, &asleep, NPI_SLEEPER_LEFT),
        (npi_a32_store_release(&gate->sleepers[worker].word, NPI_SLEEPER_LEFT), asleep != 0));
}
