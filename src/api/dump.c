/*
 * What all pools of the process do just now, as text, from a signal handler as well as from anywhere: no lock, no
 * memory, no stdio, no call of the C library but write(), getpid() and the clock. Words are read one
 * by one while everything goes on, so they need not agree.
 *
 * A pool is held (npi_registry_look()) while a part of it is made into text, not while that is written:
 * a descriptor that takes nothing must not keep numapool_destroy() waiting.
 */
#include "api/registry.h"
#include "flow/pool.h"
#include "flow/stats.h"
#include "flow/worker.h"
#include "os/os.h"

#include <string.h>
#include <unistd.h>

/* A handler's stack may be small. The longest part is a shard's. */
#define TEXT_BYTES 1024
#define LINE_BYTES_MAX 192

struct text {
    size_t used;
    char bytes[TEXT_BYTES];
};

static void add(struct text *text, const char *words)
{
    size_t count = strlen(words), free = sizeof text->bytes - text->used;
    count = count < free ? count : free;
    memcpy(text->bytes + text->used, words, count);
    text->used += count;
}

static void add_number(struct text *text, uint64_t number)
{
    char digits[21], *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    add(text, at);
}

/* " word 12" */
static void add_named(struct text *text, const char *name, uint64_t number)
{
    add(text, name);
    add_number(text, number);
}

static void add_address(struct text *text, uint64_t address)
{
    char digits[17], *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = "0123456789abcdef"[address & 15];
        address >>= 4;
    } while (address != 0);
    add(text, "0x");
    add(text, at);
}

/* Since a reading of ticks, in seconds with three places. */
static void add_age(struct text *text, uint64_t since_ticks)
{
    int64_t ticks = (int64_t)(npi_clock_ticks() - since_ticks);
    uint64_t ms = ticks < 0 ? 0 : npi_clock_ticks_to_ns((uint64_t)ticks) / 1000000;
    add_number(text, ms / 1000);
    char places[5] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                      (char)('0' + ms % 10), '\0'};
    add(text, places);
    add(text, " s");
}

static void add_pool(struct text *text, const struct numapool *pool)
{
    static const char *const phases[] = {"open", "draining", "closing"};
    uint32_t phase = npi_a32_load_sc(&pool->phase);
    add_named(text, "pool ", pool->id);
    add(text, " \"");
    add(text, pool->name);
    add(text, "\": ");
    add(text, phase <= NPI_PHASE_CLOSING ? phases[phase] : "?");
    add(text, pool->adaptive ? ", adaptive" : ", fixed");
    add_named(text, ", budget ", npi_a32_load_relaxed(&pool->budget));
    add_named(text, ", threads ", npi_a32_load_relaxed(&pool->threads));
    add_named(text, ", waiting inside tasks ", npi_a32_load_relaxed(&pool->blocked));
    add_named(text, ", shards ", pool->shard_count);
    add_named(text, ", task bytes ", npi_space_in_use(pool->space));
    add(text, "\n");
}

static void add_shard(struct text *text, struct npi_shard *shard)
{
    struct numapool_shard_stats now;
    memset(&now, 0, sizeof now);
    npi_stats_add(shard, &now, NULL, NULL);
    uint64_t permits = npi_gate_permits(&shard->gate);
    add_named(text, " shard ", shard->index);
    add_named(text, ", node ", shard->node);
    add_named(text, ": waiting ", now.queue_depth);
    add_named(text, " of ", now.queue_capacity);
    add_named(text, " (critical ", npi_shard_waiting_of(shard, NPI_CLASS_CRITICAL));
    add_named(text, ", normal ", npi_shard_waiting_of(shard, NPI_CLASS_NORMAL));
    add_named(text, ", sheddable ", npi_shard_waiting_of(shard, NPI_CLASS_SHEDDABLE));
    add_named(text, "), quota ", now.quota);
    add_named(text, ", cap ", now.cap);
    add_named(text, ", limit ", npi_permits_limit(permits));
    add_named(text, ", active ", npi_permits_active(permits));
    add_named(text, ", searching ", npi_permits_searching(permits));
    add_named(text, "\n  submitted ", now.submitted);
    add_named(text, ", accepted ", now.accepted);
    add_named(text, ", run ", now.run);
    add_named(text, ", dropped ", now.dropped);
    add_named(text, ", refused full ", now.refused_full);
    add_named(text, " shed ", now.refused_shed);
    add_named(text, " deadline ", now.refused_deadline);
    add_named(text, " bytes ", now.refused_bytes);
    add_named(text, " other ", now.refused_other);
    add_named(text, "\n  forwarded in ", now.forwarded_in);
    add_named(text, " out ", now.forwarded_out);
    add_named(text, ", stolen in ", now.stolen_in);
    add_named(text, " out ", now.stolen_out);
    add_named(text, ", wakes ", now.wakes);
    add_named(text, ", threads ", now.workers);
    add_named(text, " started ", now.threads_started);
    add_named(text, " exited ", now.threads_exited);
    add_named(text, ", stuck ", now.workers_stuck);
    add(text, "\n");
}

/* What a worker said last of what it is in. */
static void add_worker(struct text *text, const struct npi_worker *worker)
{
    uint64_t started = npi_a64_load_relaxed(&worker->started_ticks);
    uint32_t where = npi_a32_load_relaxed(&worker->signs) & NPI_WHEREABOUTS;
    add_named(text, "  worker ", worker->index);
    add_named(text, ", thread ", npi_a32_load_relaxed(&worker->tid));
    if (where == NPI_IN_DROP) {
        add(text, ": in the drop of a task, function ");
        add_address(text, npi_a64_load_relaxed(&worker->function));
    } else if (started != 0) {
        add(text, where == NPI_IN_WAIT ? ": waits inside a task, begun " : ": in a task, begun ");
        add_age(text, started);
        add(text, " ago, function ");
        add_address(text, npi_a64_load_relaxed(&worker->function));
    } else {
        add(text, ": between tasks");
    }
    add_named(text, ", run ", npi_a64_load_relaxed(&worker->done));
    add_named(text, ", dropped ", npi_a64_load_relaxed(&worker->dropped));
    add(text, "\n");
}

/* Where a dump of a pool is. */
struct place {
    unsigned shard;
    uint32_t worker;
    uint32_t asleep;
    bool in_shard; /* its own lines are written */
};

/* The next part of a pool. False: that was all. */
static bool add_part(struct text *text, const struct numapool *pool, struct place *place)
{
    if (place->shard >= pool->shard_count) {
        return false;
    }
    struct npi_shard *shard = pool->shards[place->shard];
    if (!place->in_shard) {
        add_shard(text, shard);
        place->in_shard = true;
        place->worker = place->asleep = 0;
        return true;
    }
    uint32_t slots = npi_a32_load_acquire(&shard->slots_used);
    while (place->worker < slots && sizeof text->bytes - text->used >= LINE_BYTES_MAX) {
        const struct npi_worker *worker = &shard->workers[place->worker];
        uint32_t word = npi_a32_load_acquire(&shard->gate.sleepers[place->worker].word);
        if (word == NPI_SLEEPER_ASLEEP) {
            place->asleep++;
        } else if (word != NPI_SLEEPER_FREE && word != NPI_SLEEPER_LEFT) {
            add_worker(text, worker);
        }
        place->worker++;
    }
    if (place->worker >= slots && sizeof text->bytes - text->used >= LINE_BYTES_MAX) {
        if (place->asleep != 0) {
            add_named(text, "  asleep ", place->asleep);
            add(text, "\n");
        }
        place->shard++;
        place->in_shard = false;
    }
    return true;
}

static int dump_pool(int fd, unsigned slot)
{
    struct place place = {0};
    uint64_t id = 0;
    bool more = true;
    while (more) {
        struct text text;
        text.used = 0;
        const struct numapool *pool = npi_registry_look(&npi_registry, slot);
        if (pool == NULL || (id != 0 && pool->id != id)) {
            if (id != 0) {
                add(&text, " (ended meanwhile)\n");
            }
            more = false;
        } else if (npi_pool_forked(pool)) {
            /* The copy of another process's; its threads are not here. */
            add_named(&text, "pool ", pool->id);
            add(&text, ": of the process that forked this one\n");
            more = false;
        } else if (id == 0) {
            id = pool->id;
            add_pool(&text, pool);
        } else {
            more = add_part(&text, pool, &place);
        }
        if (pool != NULL) {
            npi_registry_end_look(&npi_registry, slot);
        }
        int failed = npi_fd_write(fd, text.bytes, text.used);
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

int numapool_dump_state(int fd)
{
    if (fd < 0) {
        return NUMAPOOL_E_INVALID;
    }
    struct text head;
    head.used = 0;
    add(&head, "numapool ");
    add(&head, numapool_version());
    add_named(&head, ", process ", (uint64_t)getpid());
    uint32_t unshown = npi_a32_load_relaxed(&npi_registry.unshown);
    if (unshown != 0) {
        add_named(&head, "; more pools than are listed: ", unshown);
    }
    add(&head, "\n");
    int failed = npi_fd_write(fd, head.bytes, head.used);
    for (unsigned slot = 0; slot < NPI_REGISTRY_POOLS && failed == 0; slot++) {
        failed = dump_pool(fd, slot);
    }
    return failed == 0 ? NUMAPOOL_OK : NUMAPOOL_E_SYSTEM;
}
