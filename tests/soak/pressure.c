/* See pressure.h. */
#include "soak/pressure.h"

#include "soak/soak.h"

void spread_clear(struct spread *spread)
{
    for (unsigned i = 0; i < SPREAD_CELLS; i++) {
        atomic_store(&spread->cell[i], 0);
    }
    atomic_store(&spread->count, 0);
    atomic_store(&spread->most_ns, 0);
}

static unsigned cell_of(uint64_t ns)
{
    if (ns < 16) {
        return (unsigned)ns;
    }
    unsigned octave = 63u - (unsigned)__builtin_clzll(ns);
    return (octave - 3) * 16 + (unsigned)(ns >> (octave - 4) & 15);
}

static uint64_t upper_ns(unsigned cell)
{
    if (cell < 16) {
        return cell;
    }
    unsigned octave = cell / 16 + 3;
    return ((UINT64_C(16) + cell % 16 + 1) << (octave - 4)) - 1;
}

void spread_add(struct spread *spread, uint64_t ns)
{
    atomic_fetch_add_explicit(&spread->cell[cell_of(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&spread->count, 1, memory_order_relaxed);
    uint64_t most = atomic_load_explicit(&spread->most_ns, memory_order_relaxed);
    while (ns > most &&
           !atomic_compare_exchange_weak_explicit(&spread->most_ns, &most, ns, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

uint64_t spread_quantile_ns(const struct spread *spread, double quantile)
{
    uint64_t count = 0, below = 0;
    for (unsigned i = 0; i < SPREAD_CELLS; i++) {
        count += atomic_load(&spread->cell[i]);
    }
    uint64_t wanted = (uint64_t)(quantile * (double)count);
    for (unsigned i = 0; i < SPREAD_CELLS; i++) {
        below += atomic_load(&spread->cell[i]);
        if (below > wanted) {
            return upper_ns(i);
        }
    }
    return 0;
}

uint64_t spread_clock_cost_ns(void)
{
    static struct spread empty;
    spread_clear(&empty);
    for (int i = 0; i < 10000; i++) {
        uint64_t begin_ns = soak_now_ns();
        spread_add(&empty, soak_now_ns() - begin_ns);
    }
    return spread_quantile_ns(&empty, 0.5);
}
