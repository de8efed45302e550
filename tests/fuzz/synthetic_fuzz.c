/*
 * Machines described in a line of text. Left out are paths, as files have a target of their own, and
 * large machines, over which a fuzzer would sit for seconds.
 */
#include "fuzz/discovered.h"
#include "fuzz/fuzz.h"

#include "topology/discover_synthetic.h"

#include <stdlib.h>
#include <string.h>

/* The product of all numbers at least 1, as far as it is of interest. */
static double size_of(const char *text)
{
    double product = 1;
    for (const char *at = text; *at != '\0' && product < 1e6;) {
        double number = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            number = number * 10 + (*at - '0');
        product *= number > 1 ? number : 1;
        at += strcspn(at, "0123456789");
    }
    return product;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_string(data, size);
    size_t length = strlen(text);
    bool path = strchr(text, '/') != NULL || (length > 4 && strcmp(text + length - 4, ".xml") == 0);
    if (!path && (npi_synthetic_unfit(text) != NULL || size_of(text) <= 256))
        check_discovery(text);
    free(text);
    return 0;
}
