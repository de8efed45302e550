/* What src/os/ is in the model: sleeping, time and threads come from the scheduler. */
#include "model/engine.h"

#include "os/os.h"

int npi_park_wait(npi_a32 *word, uint32_t value, uint64_t deadline_ns)
{
    return model_park_wait(&word->value_, value, deadline_ns);
}

void npi_park_wake(npi_a32 *word, unsigned count)
{
    model_park_wake(&word->value_, count);
}

uint64_t npi_clock_now_ns(void)
{
    return model_now_ns();
}

uint64_t npi_clock_ticks(void)
{
    return model_ticks();
}

uint64_t npi_clock_ticks_to_ns(uint64_t ticks)
{
    return ticks;
}

uint64_t npi_clock_ns_to_ticks(uint64_t ns)
{
    return ns;
}

void npi_thread_yield(void)
{
    model_yield();
}
