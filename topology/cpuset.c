/*
 * Sets of CPU and node numbers as growing bit strings. Trailing zero words carry no meaning, so two
 * equal sets may differ in length; every comparison treats missing words as zero.
 */
#include "topology/cpuset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u

static uint64_t word_at(const struct npi_cpuset *set, size_t index)
{
    return index < set->word_count ? set->words[index] : 0;
}

static bool reserve_words(struct npi_cpuset *set, size_t word_count)
{
    if (word_count <= set->word_count)
        return true;
    uint64_t *words = realloc(set->words, word_count * sizeof *words);
    if (words == NULL)
        return false;
    memset(words + set->word_count, 0, (word_count - set->word_count) * sizeof *words);
    set->words = words;
    set->word_count = word_count;
    return true;
}

void npi_cpuset_fini(struct npi_cpuset *set)
{
    free(set->words);
    *set = (struct npi_cpuset){0};
}

bool npi_cpuset_add(struct npi_cpuset *set, unsigned id)
{
    if (id > NPI_CPU_ID_MAX || !reserve_words(set, id / WORD_BITS + 1))
        return false;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there are words where the count says so */
    set->words[id / WORD_BITS] |= UINT64_C(1) << (id % WORD_BITS);
    return true;
}

void npi_cpuset_remove(struct npi_cpuset *set, unsigned id)
{
    if (id / WORD_BITS < set->word_count)
        set->words[id / WORD_BITS] &= ~(UINT64_C(1) << (id % WORD_BITS));
}

bool npi_cpuset_has(const struct npi_cpuset *set, unsigned id)
{
    return (word_at(set, id / WORD_BITS) >> (id % WORD_BITS)) & 1;
}

bool npi_cpuset_copy(struct npi_cpuset *to, const struct npi_cpuset *from)
{
    if (to == from)
        return true;
    uint64_t *words = NULL;
    if (from->word_count != 0) {
        words = malloc(from->word_count * sizeof *words);
        if (words == NULL)
            return false;
        memcpy(words, from->words, from->word_count * sizeof *words);
    }
    npi_cpuset_fini(to);
    *to = (struct npi_cpuset){words, from->word_count};
    return true;
}

size_t npi_cpuset_count(const struct npi_cpuset *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->word_count; i++)
        count += (size_t)__builtin_popcountll(set->words[i]);
    return count;
}

int npi_cpuset_next(const struct npi_cpuset *set, int after)
{
    size_t id = (size_t)after + 1; /* 0 after -1 */
    for (size_t i = id / WORD_BITS; i < set->word_count; i++) {
        uint64_t word = set->words[i];
        if (i == id / WORD_BITS)
            word &= UINT64_MAX << (id % WORD_BITS);
        if (word != 0)
            return (int)(i * WORD_BITS) + __builtin_ctzll(word);
    }
    return -1;
}

bool npi_cpuset_equal(const struct npi_cpuset *a, const struct npi_cpuset *b)
{
    return npi_cpuset_contains(a, b) && npi_cpuset_contains(b, a);
}

bool npi_cpuset_intersects(const struct npi_cpuset *a, const struct npi_cpuset *b)
{
    for (size_t i = 0; i < a->word_count; i++)
        if (a->words[i] & word_at(b, i))
            return true;
    return false;
}

bool npi_cpuset_contains(const struct npi_cpuset *set, const struct npi_cpuset *subset)
{
    for (size_t i = 0; i < subset->word_count; i++)
        if (subset->words[i] & ~word_at(set, i))
            return false;
    return true;
}

bool npi_cpuset_union(struct npi_cpuset *set, const struct npi_cpuset *other)
{
    if (!reserve_words(set, other->word_count))
        return false;
    for (size_t i = 0; i < other->word_count; i++)
        set->words[i] |= other->words[i];
    return true;
}

void npi_cpuset_intersect(struct npi_cpuset *set, const struct npi_cpuset *other)
{
    for (size_t i = 0; i < set->word_count; i++)
        set->words[i] &= word_at(other, i);
}

void npi_cpuset_subtract(struct npi_cpuset *set, const struct npi_cpuset *other)
{
    for (size_t i = 0; i < set->word_count; i++)
        set->words[i] &= ~word_at(other, i);
}

/* Appends at `used` as snprintf would, also past the end of the buffer. */
static size_t append(char *buffer, size_t size, size_t used, const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++, used++)
        if (used + 1 < size)
            buffer[used] = text[i];
    return used;
}

size_t npi_cpuset_print(const struct npi_cpuset *set, char *buffer, size_t size)
{
    size_t used = 0;
    for (int first = npi_cpuset_next(set, -1); first >= 0;) {
        int last = first;
        int next = npi_cpuset_next(set, last);
        while (next == last + 1) {
            last = next;
            next = npi_cpuset_next(set, last);
        }
        char range[32];
        if (first == last)
            (void)snprintf(range, sizeof range, "%s%d", used != 0 ? "," : "", first);
        else
            (void)snprintf(range, sizeof range, "%s%d-%d", used != 0 ? "," : "", first, last);
        used = append(buffer, size, used, range);
        first = next;
    }
    if (size != 0)
        buffer[used < size ? used : size - 1] = '\0';
    return used;
}

/* Reads a decimal number of at most NPI_CPU_ID_MAX; the cursor moves past its digits. */
static bool parse_id(const char **cursor, unsigned *id)
{
    const char *at = *cursor;
    unsigned value = 0;
    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (unsigned)(*at - '0');
        if (value > NPI_CPU_ID_MAX)
            return false;
    }
    *cursor = at;
    *id = value;
    return true;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')
        at++;
    return at;
}

/*
 * Numbers a list may name, each as often as it is named: some times more than there are. Without
 * it a file of many whole ranges keeps a CPU busy for minutes.
 */
#define NAMED_MAX (4 * (NPI_CPU_ID_MAX + 1))

enum npi_cpuset_parse npi_cpuset_parse(struct npi_cpuset *set, const char *text, size_t *where)
{
    struct npi_cpuset fresh = {0};
    unsigned named = 0;
    const char *at = skip_blanks(text);
    const char *item = at;
    enum npi_cpuset_parse result = NPI_CPUSET_PARSED;
    while (result == NPI_CPUSET_PARSED) {
        unsigned first, last, stride = 1;
        item = at;
        if (!parse_id(&at, &first)) {
            result = NPI_CPUSET_MALFORMED;
            break;
        }
        last = first;
        if (*at == '-') {
            at++;
            if (!parse_id(&at, &last)) {
                result = NPI_CPUSET_MALFORMED;
                break;
            }
            if (*at == ':') {
                at++;
                if (!parse_id(&at, &stride) || stride == 0) {
                    result = NPI_CPUSET_MALFORMED;
                    break;
                }
            }
        }
        if (last < first) {
            result = NPI_CPUSET_BACKWARDS;
            break;
        }
        named += (last - first) / stride + 1;
        if (named > NAMED_MAX) {
            result = NPI_CPUSET_MALFORMED;
            break;
        }
        for (unsigned id = first; id <= last; id += stride)
            if (!npi_cpuset_add(&fresh, id))
                result = NPI_CPUSET_NO_MEMORY;
        at = skip_blanks(at);
        if (*at == '\0')
            break;
        if (*at != ',') {
            result = NPI_CPUSET_MALFORMED;
            break;
        }
        at = skip_blanks(at + 1);
    }
    if (result != NPI_CPUSET_PARSED) {
        npi_cpuset_fini(&fresh);
        if (where != NULL)
            *where = (size_t)(item - text);
        return result;
    }
    npi_cpuset_fini(set);
    *set = fresh;
    return NPI_CPUSET_PARSED;
}
