/*
 * Warm and held scratch runs of a node. All under the slice's lock, which workers take when they
 * get or give up a run, not from task to task.
 *
 * A worker keeps its run between tasks without asking anybody, and most of the time nobody else
 * wants it. When memory is short the run may be stolen while it is idle:
 *
 * word            written by           read by       why this order
 * scratch.state   owner, a thief       owner, thief  carries the edge below
 * run.owner       under the lock       thief         names the state word of the run
 *
 * @scratch-idle  end of a task, release BUSY -> IDLE  ->  thief, acquire IDLE -> STOLEN
 *                the task's last use of the run comes before anything the thief does with it
 *
 * The way back needs no edge: an owner that finds STOLEN forgets the run and looks at nothing in
 * it. At any time at most one run names a scratch as its owner: the thief clears the name before it
 * lets the lock go, and the owner must take the lock to get another run.
 */
#include "memory/warm.h"

#include "base/check.h"
#include "memory/chunk.h"

/* How many runs a search looks at before it is cheaper to take a fresh one. */
#define WARM_LOOKS 8
#define HELD_LOOKS 64

static uint64_t run_bytes(const struct npi_slice *slice, uint32_t chunk)
{
    return (uint64_t)slice->chunks[chunk].chunks << NPI_CHUNK_SHIFT;
}

static bool suits(const struct npi_slice *slice, uint32_t chunk, uint64_t bytes, bool tight)
{
    uint64_t size = run_bytes(slice, chunk);
    return size >= bytes && !npi_warm_oversized(size, bytes, tight);
}

static uint32_t best_warm(const struct npi_slice *slice, uint64_t bytes, bool tight)
{
    uint32_t best = 0;
    uint32_t chunk = slice->warm.first;
    for (int looks = 0; chunk && looks < WARM_LOOKS; looks++) {
        if (suits(slice, chunk, bytes, tight) &&
            (!best || slice->chunks[chunk].chunks < slice->chunks[best].chunks))
            best = chunk;
        chunk = slice->chunks[chunk].next;
    }
    return best;
}

/* The owner of the run keeps it idle and has lost it now. */
static bool steal(struct npi_slice *slice, uint32_t chunk)
{
    struct npi_chunk *run = &slice->chunks[chunk];
    uint32_t state = NPI_WARM_IDLE;
    /* acquire @scratch-idle: pairs with npi_scratch_end() */
    if (!npi_a32_cas_acq_rel(&run->scratch.owner->state, &state, NPI_WARM_STOLEN))
        return false;
    run->scratch.owner = NULL;
    npi_run_list_remove(slice, &slice->held, chunk);
    return true;
}

/* Steals the least recently taken idle run that suits. Busy ones go to the other end of the list,
   so that the next search does not look at them again. 0 = none of those looked at. */
static uint32_t steal_held(struct npi_slice *slice, uint64_t bytes, bool any, bool tight)
{
    uint32_t looks = slice->held.count < HELD_LOOKS ? slice->held.count : HELD_LOOKS;
    for (; looks > 0; looks--) {
        uint32_t chunk = slice->held.last;
        if ((any || suits(slice, chunk, bytes, tight)) && steal(slice, chunk))
            return chunk;
        npi_run_list_remove(slice, &slice->held, chunk);
        npi_run_list_push(slice, &slice->held, chunk);
    }
    return 0;
}

static void hold(struct npi_slice *slice, struct npi_scratch *scratch, uint32_t chunk)
{
    slice->chunks[chunk].scratch.owner = scratch;
    npi_run_list_push(slice, &slice->held, chunk);
}

uint32_t npi_warm_get(struct npi_slice *slice, struct npi_scratch *scratch, uint64_t bytes,
                      bool tight)
{
    pthread_mutex_lock(&slice->lock);
    uint32_t chunk = best_warm(slice, bytes, tight);
    if (chunk)
        npi_run_list_remove(slice, &slice->warm, chunk);
    else if (tight)
        chunk = steal_held(slice, bytes, false, tight);
    if (chunk)
        hold(slice, scratch, chunk);
    pthread_mutex_unlock(&slice->lock);
    return chunk;
}

void npi_warm_hold(struct npi_slice *slice, struct npi_scratch *scratch, uint32_t chunk)
{
    pthread_mutex_lock(&slice->lock);
    slice->chunks[chunk].scratch.marked_bytes = 0;
    hold(slice, scratch, chunk);
    pthread_mutex_unlock(&slice->lock);
}

void npi_warm_put(struct npi_slice *slice, uint32_t chunk, uint64_t marked_bytes)
{
    pthread_mutex_lock(&slice->lock);
    slice->chunks[chunk].scratch.owner = NULL;
    slice->chunks[chunk].scratch.marked_bytes = marked_bytes;
    npi_run_list_remove(slice, &slice->held, chunk);
    npi_run_list_push(slice, &slice->warm, chunk);
    pthread_mutex_unlock(&slice->lock);
}

void npi_warm_drop(struct npi_slice *slice, uint32_t chunk)
{
    pthread_mutex_lock(&slice->lock);
    slice->chunks[chunk].scratch.owner = NULL;
    npi_run_list_remove(slice, &slice->held, chunk);
    pthread_mutex_unlock(&slice->lock);
    npi_chunk_give(slice, chunk);
}

uint64_t npi_warm_free(struct npi_slice *slice, uint64_t wanted_bytes)
{
    uint64_t freed_bytes = 0;
    while (freed_bytes < wanted_bytes) {
        pthread_mutex_lock(&slice->lock);
        uint32_t chunk = slice->warm.last;
        if (chunk)
            npi_run_list_remove(slice, &slice->warm, chunk);
        pthread_mutex_unlock(&slice->lock);
        if (!chunk)
            break;
        freed_bytes += run_bytes(slice, chunk);
        npi_chunk_give(slice, chunk);
    }
    return freed_bytes;
}

uint64_t npi_warm_steal(struct npi_slice *slice, uint64_t wanted_bytes)
{
    uint64_t freed_bytes = 0;
    while (freed_bytes < wanted_bytes) {
        pthread_mutex_lock(&slice->lock);
        uint32_t chunk = steal_held(slice, 0, true, true);
        pthread_mutex_unlock(&slice->lock);
        if (!chunk)
            break;
        freed_bytes += run_bytes(slice, chunk);
        npi_chunk_give(slice, chunk);
    }
    return freed_bytes;
}
