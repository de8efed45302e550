/* Machines described in an XML file of hwloc's. */
#include "fuzz/discovered.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_discovery(fuzz_file(data, size));
    return 0;
}
