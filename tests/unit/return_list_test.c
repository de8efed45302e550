/* The many-to-one list: what is pushed is taken exactly once, with what was written to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/return_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct item {
    struct npi_return_link link;
    unsigned pusher;
    unsigned serial;
};

static void taken_all_at_once_last_in_first(void **state)
{
    (void)state;
    struct npi_return_list list;
    struct item items[5];
    npi_return_list_init(&list);
    assert_true(npi_return_list_seems_empty(&list));
    assert_null(npi_return_list_take_all(&list));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5; i++) {
            npi_return_list_push(&list, &items[i].link);
            assert_false(npi_return_list_seems_empty(&list));
        }
        struct npi_return_link *link = npi_return_list_take_all(&list);
        for (unsigned i = 5; i-- > 0; link = link->next)
            assert_ptr_equal(link, &items[i].link);
        assert_null(link);
        assert_true(npi_return_list_seems_empty(&list));
        assert_null(npi_return_list_take_all(&list));
    }
}

/* The same addresses go round and round, as blocks do, so that a list that mistook an old head for
   a new one would lose or double some. */
enum { PUSHERS = 4, TAKERS = 2, PER_PUSHER = 64, ROUNDS = 300 };

struct round_trip {
    struct npi_return_list list;
    npi_a32 home[PUSHERS][PER_PUSHER]; /* 1 = the pusher may push it */
    struct item items[PUSHERS][PER_PUSHER];
    npi_a64 pushed, taken, wrong;
    npi_a32 pushers_left;
};

struct pusher {
    struct round_trip *trip;
    unsigned number;
};

static void *push_round(void *arg)
{
    struct pusher *pusher = arg;
    struct round_trip *trip = pusher->trip;
    for (unsigned done = 0, serial = 0; done < ROUNDS * PER_PUSHER; serial++) {
        unsigned slot = serial % PER_PUSHER;
        if (!npi_a32_load_acquire(&trip->home[pusher->number][slot])) {
            npi_pause();
            continue;
        }
        npi_a32_store_relaxed(&trip->home[pusher->number][slot], 0);
        struct item *item = &trip->items[pusher->number][slot];
        item->pusher = pusher->number;
        item->serial = slot;
        npi_return_list_push(&trip->list, &item->link);
        npi_a64_add_relaxed(&trip->pushed, 1);
        done++;
    }
    npi_a32_add_release(&trip->pushers_left, (uint32_t)-1);
    return NULL;
}

static unsigned take_some(struct round_trip *trip)
{
    unsigned count = 0;
    struct npi_return_link *link = npi_return_list_take_all(&trip->list);
    while (link) {
        struct item *item = (struct item *)(void *)link;
        struct npi_return_link *next = link->next;
        struct item *expected = NULL;
        if (item->pusher < PUSHERS && item->serial < PER_PUSHER)
            expected = &trip->items[item->pusher][item->serial];
        /* Right item, and nobody else has it at home already. */
        if (item != expected ||
            npi_a32_load_relaxed(&trip->home[item->pusher][item->serial]) != 0) {
            npi_a64_add_relaxed(&trip->wrong, 1);
            break;
        }
        npi_a32_store_release(&trip->home[item->pusher][item->serial], 1);
        link = next;
        count++;
    }
    npi_a64_add_relaxed(&trip->taken, count);
    return count;
}

static void *take_rounds(void *arg)
{
    struct round_trip *trip = arg;
    while (npi_a32_load_acquire(&trip->pushers_left) != 0 &&
           npi_a64_load_relaxed(&trip->wrong) == 0)
        take_some(trip);
    return NULL;
}

static void everything_comes_home_once(void **state)
{
    (void)state;
    struct round_trip *trip = calloc(1, sizeof(*trip));
    assert_non_null(trip);
    npi_return_list_init(&trip->list);
    npi_a32_init(&trip->pushers_left, PUSHERS);
    for (unsigned i = 0; i < PUSHERS; i++) {
        for (unsigned k = 0; k < PER_PUSHER; k++)
            npi_a32_init(&trip->home[i][k], 1);
    }
    pthread_t threads[PUSHERS + TAKERS];
    struct pusher pushers[PUSHERS];
    for (unsigned i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){trip, i};
        assert_int_equal(pthread_create(&threads[i], NULL, push_round, &pushers[i]), 0);
    }
    for (unsigned i = 0; i < TAKERS; i++)
        assert_int_equal(pthread_create(&threads[PUSHERS + i], NULL, take_rounds, trip), 0);
    for (unsigned i = 0; i < PUSHERS + TAKERS; i++)
        pthread_join(threads[i], NULL);
    take_some(trip);
    assert_int_equal(npi_a64_load_relaxed(&trip->wrong), 0);
    assert_int_equal(npi_a64_load_relaxed(&trip->pushed), PUSHERS * PER_PUSHER * ROUNDS);
    assert_int_equal(npi_a64_load_relaxed(&trip->taken), PUSHERS * PER_PUSHER * ROUNDS);
    for (unsigned i = 0; i < PUSHERS; i++) {
        for (unsigned k = 0; k < PER_PUSHER; k++)
            assert_int_equal(npi_a32_load_relaxed(&trip->home[i][k]), 1);
    }
    free(trip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_all_at_once_last_in_first),
        cmocka_unit_test(everything_comes_home_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
