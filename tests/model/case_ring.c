/* The ring alone (src/queue/ring.c): nothing lost, doubled, torn or out of order; the bound holds. */
#include "model/cases.h"

#include "queue/ring.h"

#include <string.h>

#define TASKS 3
#define BOUND 2
#define RANK 1

static struct npi_ring ring;
static _Alignas(64) char memory[1024];
static unsigned producers, consumers;
static uint64_t pushed[TASKS], popped[TASKS]; /* how often */
static uint64_t order[4][TASKS], order_count[4];
static npi_a32 ended_producers;
static uint64_t payload[TASKS]; /* plain data that the queue hands over */
static uint64_t bound;

/* Word by word different, so that a mix of two tasks shows. */
static struct npi_item make(uint64_t value)
{
    struct npi_item item;
    memset(&item, 0, sizeof item);
    for (unsigned i = 0; i < NPI_ITEM_HOT_WORDS; i++) {
        item.hot[i] = value * 16 + i;
    }
    item.hot[NPI_ITEM_META] |= NPI_ITEM_FULL;
    for (unsigned i = 0; i < NPI_ITEM_MORE_WORDS; i++) {
        item.more[i] = value * 16 + 8 + i;
    }
    return item;
}

static bool push(uint64_t value)
{
    struct npi_item item = make(value);
    while (!npi_ring_claim(&ring, 1)) {
    }
    bool room = npi_ring_depth_cached(&ring) < bound || npi_ring_depth_refreshed(&ring) < bound;
    if (room) {
        model_plain_write(&payload[value]);
        payload[value] = value + 100;
        pushed[value]++;
        npi_ring_put(&ring, RANK, 0, &item);
        npi_ring_publish(&ring, RANK, 1);
    }
    npi_ring_unclaim(&ring);
    return room;
}

static bool pop(unsigned consumer)
{
    struct npi_item item;
    if (npi_ring_take(&ring, RANK, 0, &item, 1) == 0) {
        return false;
    }
    uint64_t value = item.hot[0] / 16;
    MODEL_CHECK(value < TASKS);
    struct npi_item whole = make(value);
    MODEL_CHECK(memcmp(&item, &whole, sizeof item) == 0);
    model_plain_read(&payload[value]);
    MODEL_CHECK(payload[value] == value + 100);
    popped[value]++;
    order[consumer][order_count[consumer]++] = value;
    return true;
}

static void produce(void *arg)
{
    uint64_t first = (uint64_t)(uintptr_t)arg;
    for (uint64_t value = first; value < TASKS; value += producers) {
        while (!push(value)) {
            model_yield();
        }
    }
    (void)npi_a32_add_release(&ended_producers, 1);
}

static void consume(void *arg)
{
    unsigned consumer = (unsigned)(uintptr_t)arg;
    for (;;) {
        bool last = npi_a32_load_acquire(&ended_producers) == producers;
        if (pop(consumer)) {
            continue;
        }
        if (last && npi_ring_waiting(&ring, RANK) == 0) {
            return;
        }
        model_yield();
    }
}

static void start(unsigned producer_count, unsigned consumer_count, uint64_t position)
{
    memset(pushed, 0, sizeof pushed);
    memset(popped, 0, sizeof popped);
    memset(order_count, 0, sizeof order_count);
    npi_a32_init(&ended_producers, 0);
    bound = BOUND;
    model_claim_turns = 2;
    producers = producer_count;
    consumers = consumer_count;
    npi_ring_init(&ring, BOUND, memory, position);
    for (uint64_t i = 0; i < producer_count; i++) {
        (void)model_spawn("producer", produce, (void *)(uintptr_t)i);
    }
    for (uint64_t i = 0; i < consumer_count; i++) {
        (void)model_spawn("consumer", consume, (void *)(uintptr_t)i);
    }
}

static void check_all(void)
{
    for (unsigned i = 0; i < TASKS; i++) {
        MODEL_CHECK(pushed[i] == 1 && popped[i] == 1);
    }
    for (unsigned c = 0; c < consumers; c++) {
        for (unsigned i = 0; i < order_count[c]; i++) {
            for (unsigned later = i + 1; later < order_count[c]; later++) {
                bool same_producer = order[c][i] % producers == order[c][later] % producers;
                MODEL_CHECK(!same_producer || order[c][i] < order[c][later]);
            }
        }
    }
    MODEL_CHECK(npi_ring_quiet(&ring));
    MODEL_CHECK(npi_ring_depth(&ring) == 0);
}

static void setup_2p1c(void)
{
    start(2, 1, 0);
}

static void setup_1p2c(void)
{
    start(1, 2, 0);
}

static void setup_wrap32(void)
{
    start(2, 1, UINT32_MAX - 1);
}

static void setup_wrap64(void)
{
    start(1, 2, UINT64_MAX - 1);
}

const struct model_case model_case_ring_2p1c = {
    .name = "ring_2p1c",
    .about = "two producers, one consumer, more tasks than slots",
    .setup = setup_2p1c,
    .check = check_all,
};

const struct model_case model_case_ring_1p2c = {
    .name = "ring_1p2c",
    .about = "one producer, two consumers, more tasks than slots",
    .setup = setup_1p2c,
    .check = check_all,
};

const struct model_case model_case_ring_wrap32 = {
    .name = "ring_wrap32",
    .about = "two producers, one consumer, positions pass 2^32",
    .setup = setup_wrap32,
    .check = check_all,
};

const struct model_case model_case_ring_wrap64 = {
    .name = "ring_wrap64",
    .about = "one producer, two consumers, positions pass 2^64",
    .setup = setup_wrap64,
    .check = check_all,
};

/* ---------------------------------------------------------------- the edges: full and empty */

static unsigned accepted, refused, taken, came_back_empty;

static void push_once(void *arg)
{
    if (push((uint64_t)(uintptr_t)arg)) {
        accepted++;
    } else {
        refused++;
    }
}

static void pop_once(void *arg)
{
    if (pop((unsigned)(uintptr_t)arg)) {
        taken++;
    } else {
        came_back_empty++;
    }
}

/* One slot, two pushers and a taker, each once. */
static void setup_full_empty(void)
{
    start(0, 0, 0);
    bound = 1;
    accepted = refused = taken = came_back_empty = 0;
    npi_ring_init(&ring, 1, memory, 0);
    (void)model_spawn("producer 0", push_once, (void *)0);
    (void)model_spawn("producer 1", push_once, (void *)1);
    (void)model_spawn("consumer 0", pop_once, (void *)0);
    (void)model_spawn("consumer 1", pop_once, (void *)1);
}

static void check_full_empty(void)
{
    MODEL_CHECK(accepted + refused == 2 && taken + came_back_empty == 2);
    MODEL_CHECK(accepted >= 1);               /* it was not full for the first */
    MODEL_CHECK(accepted == 1 || taken >= 1); /* one slot: the second needs the first gone */
    MODEL_CHECK(taken <= accepted);           /* nothing is taken twice */
    MODEL_CHECK(npi_ring_depth(&ring) == accepted - taken);
    struct npi_item item;
    for (unsigned i = taken; i < accepted; i++) { /* what waits can be taken */
        MODEL_CHECK(npi_ring_take(&ring, RANK, 0, &item, 1) == 1);
        popped[item.hot[0] / 16]++;
    }
    MODEL_CHECK(npi_ring_take(&ring, RANK, 0, &item, 1) == 0);
    MODEL_CHECK(popped[0] == pushed[0] && popped[1] == pushed[1]);
}

const struct model_case model_case_ring_full_empty = {
    .name = "ring_full_empty",
    .about = "one slot: two producers and two consumers, each once",
    .setup = setup_full_empty,
    .check = check_full_empty,
};
