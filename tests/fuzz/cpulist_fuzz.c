/*
 * Lists of CPUs: what is read has to be what is written, and sets have to obey the laws of sets.
 * A '|' separates two lists.
 */
#include "fuzz/fuzz.h"

#include "topology/cpuset.h"

#include <stdlib.h>
#include <string.h>

/* Printing has to need the room it says, in any room, and to read back equal. */
static void print_and_read(const struct npi_cpuset *set)
{
    size_t length = npi_cpuset_print(set, NULL, 0);
    char *text = malloc(length + 1);
    fuzz_check(text != NULL);
    fuzz_check(npi_cpuset_print(set, text, length + 1) == length && strlen(text) == length);
    struct npi_cpuset again = {0};
    if (length > 0)
        fuzz_check(npi_cpuset_parse(&again, text, NULL) == NPI_CPUSET_PARSED);
    fuzz_check(npi_cpuset_equal(set, &again));
    char *cut = malloc(length / 2 + 1);
    fuzz_check(cut != NULL);
    fuzz_check(npi_cpuset_print(set, cut, length / 2 + 1) == length);
    fuzz_check(strncmp(cut, text, length / 2) == 0 && cut[length / 2] == '\0');
    npi_cpuset_fini(&again);
    free(cut);
    free(text);
}

static void check_walk(const struct npi_cpuset *set)
{
    size_t count = 0;
    int last = -1;
    for (int id = npi_cpuset_next(set, -1); id >= 0; id = npi_cpuset_next(set, id), count++) {
        fuzz_check(id > last && id <= (int)NPI_CPU_ID_MAX && npi_cpuset_has(set, (unsigned)id));
        last = id;
    }
    fuzz_check(count == npi_cpuset_count(set));
}

static void check_laws(const struct npi_cpuset *a, const struct npi_cpuset *b)
{
    struct npi_cpuset both = {0}, either = {0}, rest = {0};
    fuzz_check(npi_cpuset_copy(&both, a) && npi_cpuset_copy(&either, a) &&
               npi_cpuset_copy(&rest, a));
    npi_cpuset_intersect(&both, b);
    fuzz_check(npi_cpuset_union(&either, b));
    npi_cpuset_subtract(&rest, b);
    fuzz_check(npi_cpuset_count(&both) + npi_cpuset_count(&either) ==
               npi_cpuset_count(a) + npi_cpuset_count(b));
    fuzz_check(npi_cpuset_count(&rest) == npi_cpuset_count(a) - npi_cpuset_count(&both));
    fuzz_check(npi_cpuset_intersects(a, b) == (npi_cpuset_count(&both) > 0));
    fuzz_check(npi_cpuset_contains(&either, a) && npi_cpuset_contains(&either, b) &&
               npi_cpuset_contains(b, &both) && !npi_cpuset_intersects(&rest, b));
    fuzz_check(npi_cpuset_union(&rest, &both) && npi_cpuset_equal(&rest, a));
    npi_cpuset_fini(&both);
    npi_cpuset_fini(&either);
    npi_cpuset_fini(&rest);
}

/* Reads over a set that must stay as it is if the list is none. */
static bool read_list(struct npi_cpuset *set, const char *text)
{
    size_t where = 0;
    fuzz_check(npi_cpuset_add(set, 7));
    switch (npi_cpuset_parse(set, text, &where)) {
    case NPI_CPUSET_PARSED:
        fuzz_check(npi_cpuset_count(set) > 0);
        return true;
    case NPI_CPUSET_MALFORMED:
    case NPI_CPUSET_BACKWARDS:
        fuzz_check(where <= strlen(text));
        fuzz_check(npi_cpuset_count(set) == 1 && npi_cpuset_has(set, 7));
        break;
    case NPI_CPUSET_NO_MEMORY:
        fuzz_fail(__FILE__, __LINE__, "there is memory");
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct npi_cpuset first = {0}, second = {0};
    char *text = fuzz_string(data, size), *bar = strchr(text, '|');
    if (bar != NULL)
        *bar = '\0';
    read_list(&first, text);
    read_list(&second, bar != NULL ? bar + 1 : "");
    print_and_read(&first);
    check_walk(&first);
    check_laws(&first, &second);
    check_laws(&second, &first);
    npi_cpuset_fini(&first);
    npi_cpuset_fini(&second);
    free(text);
    return 0;
}
