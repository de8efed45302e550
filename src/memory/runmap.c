/* Two-level bitmap of taken chunks with first fit; what it is for stands in the header. */
#include "memory/runmap.h"

#include "base/check.h"

#include <stdbool.h>

void npi_runmap_init(struct npi_runmap *map, uint64_t *used, uint64_t *full, uint32_t chunk_count)
{
    map->used = used;
    map->full = full;
    map->word_count = chunk_count / 64;
    /* Words that do not exist count as full, so that a search never leaves the map. */
    if (map->word_count % 64)
        full[map->word_count / 64] = ~UINT64_C(0) << (map->word_count % 64);
    for (uint32_t i = 0; i <= NPI_RUN_HINTS; i++)
        map->hint[i] = 0;
}

/* The first word from `word` on that has a free chunk; word_count = none. */
static uint32_t next_open_word(const struct npi_runmap *map, uint32_t word)
{
    if (word >= map->word_count)
        return map->word_count;
    uint32_t index = word / 64;
    uint64_t open = ~map->full[index] & (~UINT64_C(0) << (word % 64));
    uint32_t index_count = npi_runmap_full_words(map->word_count);
    while (open == 0) {
        if (++index == index_count)
            return map->word_count;
        open = ~map->full[index];
    }
    return index * 64 + (uint32_t)__builtin_ctzll(open);
}

/* Position of the lowest `count` ones in a row inside a word, 64 = there are none. count 1 to 63.
 */
static unsigned lowest_row(uint64_t bits, uint32_t count)
{
    /* After each step a bit is set where `have` ones begin; doubling reaches count in 6 steps. */
    unsigned have = 1;
    while (have < count && bits) {
        unsigned step = count - have < have ? count - have : have;
        bits &= bits >> step;
        have += step;
    }
    return bits ? (unsigned)__builtin_ctzll(bits) : 64;
}

uint32_t npi_runmap_find(struct npi_runmap *map, uint32_t count)
{
    uint32_t slot = count < NPI_RUN_HINTS ? count : NPI_RUN_HINTS;
    uint32_t open_length = 0; /* free chunks in a row right below the word looked at */
    uint32_t found = NPI_RUN_NONE;
    uint32_t expected = 0;
    for (uint32_t word = next_open_word(map, map->hint[slot]); word < map->word_count;
         word = next_open_word(map, word + 1)) {
        uint64_t free = ~map->used[word];
        if (word != expected)
            open_length = 0;
        expected = word + 1;
        if (free == ~UINT64_C(0)) {
            open_length += 64;
            if (open_length >= count) {
                found = (word + 1) * 64 - open_length;
                break;
            }
            continue;
        }
        if (open_length + (uint32_t)__builtin_ctzll(~free) >= count) {
            found = word * 64 - open_length;
            break;
        }
        unsigned inside = count < 64 ? lowest_row(free, count) : 64;
        if (inside < 64) {
            found = word * 64 + inside;
            break;
        }
        open_length = (uint32_t)__builtin_clzll(~free);
    }
    /* Nothing of this length begins lower; for a length without a hint of its own we know less. */
    if (count <= NPI_RUN_HINTS)
        map->hint[slot] = found == NPI_RUN_NONE ? map->word_count : found / 64;
    return found;
}

static void set_bits(struct npi_runmap *map, uint32_t first, uint32_t count, bool taken)
{
    while (count) {
        uint32_t word = first / 64;
        unsigned from = first % 64;
        unsigned here = count < 64 - from ? count : 64 - from;
        uint64_t mask = npi_run_mask(from, here);
        if (taken) {
            NPI_DEBUG_CHECK((map->used[word] & mask) == 0);
            map->used[word] |= mask;
        } else {
            NPI_DEBUG_CHECK((map->used[word] & mask) == mask);
            map->used[word] &= ~mask;
        }
        uint64_t bit = UINT64_C(1) << (word % 64);
        if (map->used[word] == ~UINT64_C(0))
            map->full[word / 64] |= bit;
        else
            map->full[word / 64] &= ~bit;
        first += here;
        count -= here;
    }
}

void npi_runmap_take(struct npi_runmap *map, uint32_t first, uint32_t count)
{
    set_bits(map, first, count, true);
}

/* The word in which the free run that contains chunk `first` begins. */
static uint32_t run_begin_word(const struct npi_runmap *map, uint32_t first)
{
    uint32_t word = first / 64;
    uint64_t below = map->used[word] & ~(~UINT64_C(0) << (first % 64));
    while (below == 0 && word > 0) {
        if (map->used[word - 1] >> 63)
            return word;
        below = map->used[--word];
    }
    return word;
}

void npi_runmap_give(struct npi_runmap *map, uint32_t first, uint32_t count)
{
    set_bits(map, first, count, false);
    /* What was given back may have joined a free run that begins lower. */
    uint32_t word = run_begin_word(map, first);
    for (uint32_t i = 0; i <= NPI_RUN_HINTS; i++)
        map->hint[i] = map->hint[i] < word ? map->hint[i] : word;
}
