/**
 * The stats page: a pool's statistics in memory that other processes of its user may read, without a
 * call into the process that owns it. Only its layout; nothing here is a function of the library.
 *
 * Written for those who read it from other languages; the command has a reader in C, src/tool/page_reader.c.
 *
 * Finding it. The page is a memfd called "numapool/NAME", where NAME is the pool's: a link
 * /proc/PID/fd/N to "/memfd:numapool/NAME (deleted)". A process may have several pools. A child of
 * fork() inherits the descriptor: the page belongs to the process whose number is in `pid` (which is
 * the one in that process's own PID namespace). It vanishes with the pool or the process; who has it
 * mapped keeps the last numbers. Its size is sealed: who has mapped it is never sent SIGBUS.
 *
 * Reading it. Map it readable, look at `magic` and `version`, then take copies. The header and every
 * block have a `sequence`, and one thread that writes them:
 *     do {
 *         before = load_acquire(sequence);
 *         copy = load_acquire(each word after it, up to the size the header gives);
 *     } while (before is odd or load_relaxed(sequence) != before);
 * An odd sequence that does not change is that of a process that was stopped or killed just then:
 * bound the loop. `phase` is one word and read alone. A header whose sequence is 0 is not there yet.
 *
 * What a copy means. Blocks of different shards are of slightly different moments. Within one block
 *     submitted = accepted + refused_full + refused_shed + refused_deadline + refused_bytes
 *               + refused_other
 * always holds; the rest of what numapool.h says of statistics holds at rest.
 *
 * How fresh it is. A block is written by its shard's control thread every `tick_ns` (larger shards: up to
 * 1 s; times: 0.25 s and more) while tasks run or wait, for some seconds after, and once more when that
 * thread goes to sleep. Then `state` is NUMAPOOL_PAGE_ASLEEP, and the numbers are those of now, however
 * old `published_ns` is; but what happens without a task being taken, refusals of an idle pool and memory
 * from numapool_alloc(), shows with the next task. A block that is not asleep and seconds old is that of
 * a process that was stopped, or of a machine on which it had no time to run.
 *
 * Growing. Numbers are in the machine's byte order. New fields come at the end of the header, of the
 * blocks and of a histogram's block, and the sizes in the header grow: read the smaller of yours and
 * theirs. `version` changes when that is not enough; do not read a version you do not know.
 */
#ifndef NUMAPOOL_STATS_PAGE_H
#define NUMAPOOL_STATS_PAGE_H

#include <numapool/numapool.h>

#define NUMAPOOL_PAGE_MAGIC UINT64_C(0x6c6f6f70616d756e) /* "numapool" on little-endian machines */
#define NUMAPOOL_PAGE_VERSION 1
#define NUMAPOOL_PAGE_PREFIX "numapool/" /* of the memfd's name */

/** numapool_page_header::phase */
enum numapool_page_phase {
    NUMAPOOL_PAGE_OPEN = 0,
    NUMAPOOL_PAGE_DRAINING = 1, /* takes no new tasks */
    NUMAPOOL_PAGE_CLOSED = 2,   /* numapool_destroy() was called */
};

/** numapool_page_shard::state */
enum numapool_page_state {
    NUMAPOOL_PAGE_TICKING = 0, /* will be published again soon */
    NUMAPOOL_PAGE_ASLEEP = 1,  /* at rest: the numbers stay as they are until a task comes */
};

/** At offset 0. */
struct numapool_page_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t phase;    /* changes by itself */
    uint64_t sequence; /* of what follows, which is written once */

    uint64_t page_bytes;
    uint64_t shard_offset; /* of the first struct numapool_page_shard, from the page's begin */
    uint64_t shard_stride; /* from one to the next */
    uint64_t shard_bytes;  /* of one */
    uint64_t times_offset; /* likewise of struct numapool_page_times */
    uint64_t times_stride;
    uint64_t times_bytes;
    uint64_t shard_count;
    uint64_t node_count;
    uint64_t pid;
    uint64_t pool_id;      /* differs between pools of a process */
    uint64_t created_ns;   /* CLOCK_MONOTONIC */
    uint64_t tick_ns;      /* period of the control loop */
    uint64_t memory_bytes; /* bound on task bytes */
    uint64_t mode;         /* enum numapool_mode */
    char pool_name[8];     /* ends with a zero */
    char library[16];      /* "major.minor.patch" */
    uint64_t reserved[10]; /* 0 */
};

#define NUMAPOOL_PAGE_MEMBER(name, kind, text) uint64_t name;

/** One shard: its counters and gauges. `bind_denied` is the pool's in the first shard, else 0. */
struct numapool_page_shard {
    uint64_t sequence;
    uint64_t updates;      /* how often it was published */
    uint64_t published_ns; /* when, CLOCK_MONOTONIC */
    uint64_t state;        /* enum numapool_page_state */
    uint64_t cpus_milli;   /* CPUs its workers may use just now, in thousandths */
    uint64_t budget;       /* of the pool, as this shard saw it */
    uint64_t pool_bytes;   /* in use in the whole pool, likewise */
    uint64_t reserved[7];  /* 0 */
    uint64_t node;         /* node index of its memory */
    uint64_t node_os_index;
    NUMAPOOL_STATS_FIELDS(NUMAPOOL_PAGE_MEMBER)
};

/**
 * Times in ns, eight buckets per doubling: bucket i counts those from bound i - 1 to below bound i, the
 * last one those from the last bound, 2^34 ns. A time is known to 1/32, and counts above a bound it may
 * lie on either side of.
 */
#define NUMAPOOL_PAGE_BOUNDS 193
#define NUMAPOOL_PAGE_BUCKETS (NUMAPOOL_PAGE_BOUNDS + 1)
#define NUMAPOOL_PAGE_BOUND_NS(i) ((UINT64_C(8) + (i) % 8) << (7 + (i) / 8))

struct numapool_page_histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t bucket[NUMAPOOL_PAGE_BUCKETS];
};

/** One shard: how long its tasks waited and ran. */
struct numapool_page_times {
    uint64_t sequence;
    uint64_t published_ns;
    struct numapool_page_histogram wait, run;
};

#endif
