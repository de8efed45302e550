/* See halt.h. */
#include "fault/halt.h"

#include "fault/must.h"

#include "flow/shard.h"
#include "flow/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STARTS_MAX 4096u

struct halt_start {
    int used;
    int tid; /* 0 = not yet running */
    int pending;
    unsigned role; /* enum halt_role */
    uint64_t ns;
    void *(*body)(void *);
    void *arg;
};

static struct halt_start starts[STARTS_MAX];
static unsigned starts_high;
static __thread struct halt_start *self;
static __thread int claims;

static uint64_t counts[HALT_OTHER + 1], count_in_claim, signals;
static int wanted[HALT_PLACES], standing[HALT_PLACES];
static unsigned wanted_roles[HALT_PLACES];
static int generation;

/* ---------------------------------------------------------------------------- by a signal */

static void stand_ns(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static void on_signal(int number)
{
    (void)number;
    int before = errno;
    struct halt_start *start = self;
    (void)__atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
    if (start != NULL && __atomic_load_n(&start->pending, __ATOMIC_ACQUIRE)) {
        uint64_t ns = __atomic_load_n(&start->ns, __ATOMIC_RELAXED);
        if (ns != 0) {
            (void)__atomic_add_fetch(&counts[start->role], 1, __ATOMIC_RELAXED);
            if (claims > 0) {
                (void)__atomic_add_fetch(&count_in_claim, 1, __ATOMIC_RELAXED);
            }
            stand_ns(ns);
        }
        __atomic_store_n(&start->pending, 0, __ATOMIC_RELEASE);
    }
    errno = before;
}

static void open_for_signals(bool open)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGRTMAX);
    (void)pthread_sigmask(open ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

void halt_init(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal; /* no SA_RESTART: calls are interrupted as well */
    MUST(sigaction(SIGRTMAX, &action, NULL) == 0);
    open_for_signals(false);
}

static struct halt_start *enrol(enum halt_role role)
{
    for (unsigned i = 0; i < STARTS_MAX; i++) {
        int unused = 0;
        if (__atomic_compare_exchange_n(&starts[i].used, &unused, 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            __atomic_store_n(&starts[i].role, (unsigned)role, __ATOMIC_RELAXED);
            __atomic_store_n(&starts[i].pending, 0, __ATOMIC_RELAXED);
            unsigned high = __atomic_load_n(&starts_high, __ATOMIC_RELAXED);
            while (high <= i && !__atomic_compare_exchange_n(&starts_high, &high, i + 1, false,
                                                             __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            }
            return &starts[i];
        }
    }
    const bool there_is_room = false;
    MUST(there_is_room);
    return NULL;
}

static void begin(struct halt_start *start)
{
    self = start;
    open_for_signals(true);
    __atomic_store_n(&start->tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
}

static void leave(void *arg)
{
    struct halt_start *start = arg;
    __atomic_store_n(&start->tid, 0, __ATOMIC_SEQ_CST);
    open_for_signals(false);
    self = NULL;
    __atomic_store_n(&start->used, 0, __ATOMIC_RELEASE);
}

void halt_enrol_producer(void)
{
    begin(enrol(HALT_PRODUCER));
}

void halt_leave_producer(void)
{
    leave(self);
}

struct halt_start *halt_enrol_start(void *(*body)(void *), void *arg)
{
    struct halt_start *start = enrol(body == npi_worker_main ? HALT_WORKER : HALT_OTHER);
    start->body = body;
    start->arg = arg;
    return start;
}

void halt_forget_start(struct halt_start *start)
{
    __atomic_store_n(&start->used, 0, __ATOMIC_RELEASE);
}

void *halt_thread_main(void *arg)
{
    struct halt_start *start = arg;
    void *result = NULL;
    begin(start);
    pthread_cleanup_push(leave, start);
    result = start->body(start->arg);
    pthread_cleanup_pop(1);
    return result;
}

bool halt_random(unsigned roles, uint64_t ns, uint64_t *random)
{
    unsigned high = __atomic_load_n(&starts_high, __ATOMIC_RELAXED);
    if (high == 0) {
        return false;
    }
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    unsigned first = (unsigned)((*random >> 33) % high);
    for (unsigned i = 0; i < high; i++) {
        struct halt_start *start = &starts[(first + i) % high];
        int tid = __atomic_load_n(&start->tid, __ATOMIC_ACQUIRE), idle = 0;
        if (tid != 0 && (__atomic_load_n(&start->role, __ATOMIC_RELAXED) & roles) != 0 &&
            __atomic_compare_exchange_n(&start->pending, &idle, 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            __atomic_store_n(&start->ns, ns, __ATOMIC_RELAXED);
            if (syscall(SYS_tgkill, getpid(), tid, SIGRTMAX) == 0) {
                return true;
            }
            __atomic_store_n(&start->pending, 0, __ATOMIC_RELEASE);
        }
    }
    return false;
}

uint64_t halt_count(enum halt_role role)
{
    return __atomic_load_n(&counts[role], __ATOMIC_RELAXED);
}

uint64_t halt_count_in_claim(void)
{
    return __atomic_load_n(&count_in_claim, __ATOMIC_RELAXED);
}

uint64_t halt_signals(void)
{
    return __atomic_load_n(&signals, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------------------------- in place */

void halt_at(enum halt_place place, unsigned roles, int count)
{
    wanted_roles[place] = roles;
    __atomic_store_n(&wanted[place], count, __ATOMIC_SEQ_CST);
}

int halt_standing(enum halt_place place)
{
    return __atomic_load_n(&standing[place], __ATOMIC_SEQ_CST);
}

void halt_release(void)
{
    for (int place = 0; place < HALT_PLACES; place++) {
        __atomic_store_n(&wanted[place], 0, __ATOMIC_SEQ_CST);
    }
    (void)__atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
}

static void pass(enum halt_place place)
{
    int left = __atomic_load_n(&wanted[place], __ATOMIC_SEQ_CST);
    if (left == 0 || self == NULL || (self->role & wanted_roles[place]) == 0) {
        return;
    }
    int mine = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
    do {
        if (left == 0) {
            return;
        }
    } while (!__atomic_compare_exchange_n(&wanted[place], &left, left - 1, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    (void)__atomic_add_fetch(&standing[place], 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&generation, __ATOMIC_SEQ_CST) == mine) {
        stand_ns(100000);
    }
    (void)__atomic_sub_fetch(&standing[place], 1, __ATOMIC_SEQ_CST);
}

bool __real_npi_ring_claim(struct npi_ring *ring, uint64_t count);
bool __wrap_npi_ring_claim(struct npi_ring *ring, uint64_t count);
bool __real_npi_ring_claim_once(struct npi_ring *ring, uint64_t count);
bool __wrap_npi_ring_claim_once(struct npi_ring *ring, uint64_t count);
void __real_npi_ring_put(struct npi_ring *ring, unsigned rank, uint64_t offset,
                         const struct npi_item *item);
void __wrap_npi_ring_put(struct npi_ring *ring, unsigned rank, uint64_t offset,
                         const struct npi_item *item);
void __real_npi_ring_publish(struct npi_ring *ring, unsigned rank, uint64_t count);
void __wrap_npi_ring_publish(struct npi_ring *ring, unsigned rank, uint64_t count);
void __real_npi_ring_unclaim(struct npi_ring *ring);
void __wrap_npi_ring_unclaim(struct npi_ring *ring);
bool __real_npi_gate_reserve(struct npi_gate *gate, bool alone);
bool __wrap_npi_gate_reserve(struct npi_gate *gate, bool alone);
void __real_npi_gate_rouse(struct npi_gate *gate, uint32_t worker);
void __wrap_npi_gate_rouse(struct npi_gate *gate, uint32_t worker);
void __real_npi_gate_push(struct npi_gate *gate, uint32_t worker);
void __wrap_npi_gate_push(struct npi_gate *gate, uint32_t worker);
unsigned __real_npi_shard_take(struct npi_shard *shard, uint64_t refuse, struct npi_item *items,
                               unsigned max);
unsigned __wrap_npi_shard_take(struct npi_shard *shard, uint64_t refuse, struct npi_item *items,
                               unsigned max);

bool __wrap_npi_ring_claim(struct npi_ring *ring, uint64_t count)
{
    bool claimed = __real_npi_ring_claim(ring, count);
    claims += claimed;
    return claimed;
}

bool __wrap_npi_ring_claim_once(struct npi_ring *ring, uint64_t count)
{
    bool claimed = __real_npi_ring_claim_once(ring, count);
    claims += claimed;
    return claimed;
}

void __wrap_npi_ring_put(struct npi_ring *ring, unsigned rank, uint64_t offset,
                         const struct npi_item *item)
{
    pass(HALT_CLAIMED);
    __real_npi_ring_put(ring, rank, offset, item);
}

void __wrap_npi_ring_publish(struct npi_ring *ring, unsigned rank, uint64_t count)
{
    pass(HALT_WRITTEN);
    __real_npi_ring_publish(ring, rank, count);
    pass(HALT_PUBLISHED);
}

void __wrap_npi_ring_unclaim(struct npi_ring *ring)
{
    claims--;
    __real_npi_ring_unclaim(ring);
    pass(HALT_LET_GO);
}

bool __wrap_npi_gate_reserve(struct npi_gate *gate, bool alone)
{
    bool reserved = __real_npi_gate_reserve(gate, alone);
    if (reserved) {
        pass(HALT_RESERVED);
    }
    return reserved;
}

void __wrap_npi_gate_rouse(struct npi_gate *gate, uint32_t worker)
{
    pass(HALT_POPPED);
    __real_npi_gate_rouse(gate, worker);
}

void __wrap_npi_gate_push(struct npi_gate *gate, uint32_t worker)
{
    __real_npi_gate_push(gate, worker);
    pass(HALT_PUSHED);
}

unsigned __wrap_npi_shard_take(struct npi_shard *shard, uint64_t refuse, struct npi_item *items,
                               unsigned max)
{
    if (npi_worker_self != NULL && npi_worker_self->searching) {
        pass(HALT_SEARCHING);
    }
    return __real_npi_shard_take(shard, refuse, items, max);
}
