/*
 * What a load may see, and races.
 *
 * C11: every location keeps its last stores. A load reads the newest, or, for one of the budget, an
 * older one, as long as that is not hidden: by a newer one that happens before the load, by one that
 * the thread, or somebody the thread has synchronized with, has read or written already, or, for
 * sequentially consistent loads, by one that a sequentially consistent access has written or read.
 * The order of stores to one location is the order of execution, and so is the order of all
 * sequentially consistent accesses.
 *
 * TSO: every thread has a queue of stores, as x86 has. A store is visible at once, or, for one of the
 * budget, stays in the queue until some later moment, at the latest when its thread does a
 * read-modify-write or a sequentially consistent store, waits or ends.
 *
 * A location that only one thread has used, or that was never written beside its initial value, has
 * no history, and accesses to it are no points of preemption: nobody could tell the difference. What is
 * known about that is kept from execution to execution; when it turns out wrong the search starts
 * again.
 */
#include "model/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY 8
#define LOCATIONS 8192u

struct store {
    uint64_t value;
    uint32_t thread;
    uint32_t clock;
    clocks release;
};

struct location {
    const void *word;
    unsigned bytes;

    /* learned */
    uint8_t users;
    bool written;
    bool shared;

    /* of this execution */
    uint32_t epoch;
    uint32_t count; /* stores ever; the last HISTORY of them are kept */
    struct store history[HISTORY];
    uint32_t seen[MODEL_THREADS]; /* newest store that a thread has read or written ... */
    clocks seen_clock;            /* ... and when it did so first */
    uint32_t sc_floor;
    clocks release; /* TSO: of the value in memory */
    uint32_t writer, write_clock;
    clocks read_clock;
};

static struct location locations[LOCATIONS];
static unsigned location_count;
void clocks_join(clocks into, const clocks from)
{
    for (int i = 0; i < MODEL_THREADS; i++) {
        if (from[i] > into[i]) {
            into[i] = from[i];
        }
    }
}

void memory_forget(void)
{
    memset(locations, 0, sizeof locations);
    location_count = 0;
}

uint64_t memory_learned(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < LOCATIONS; i++) {
        count += locations[i].shared;
    }
    return count;
}

static uint64_t word_read(const struct location *location)
{
    return location->bytes == 8 ? *(const uint64_t *)location->word
                                : *(const uint32_t *)location->word;
}

static void word_write(const struct location *location, uint64_t value)
{
    if (location->bytes == 8) {
        *(uint64_t *)(uintptr_t)location->word = value;
    } else {
        *(uint32_t *)(uintptr_t)location->word = (uint32_t)value;
    }
}

static void renew(struct location *location)
{
    location->epoch = run.epoch;
    location->count = 1;
    location->history[0].value = word_read(location);
    location->history[0].thread = NOBODY;
    memset(location->history[0].release, 0, sizeof(clocks));
    memset(location->seen, 0, sizeof location->seen);
    memset(location->seen_clock, 0, sizeof(clocks));
    location->sc_floor = 0;
    memset(location->release, 0, sizeof(clocks));
    location->writer = NOBODY;
    memset(location->read_clock, 0, sizeof(clocks));
}

static struct location *find(const void *word, unsigned bytes)
{
    uint32_t at = (uint32_t)((uintptr_t)word >> 2) * 2654435761u >> 19;
    while (locations[at].word != word) {
        if (locations[at].word == NULL) {
            if (++location_count > LOCATIONS * 3 / 4) {
                (void)fprintf(stderr, "numapool-model: too many locations\n");
                exit(2);
            }
            locations[at].word = word;
            locations[at].shared = run.all_shared;
            break;
        }
        at = (at + 1) % LOCATIONS;
    }
    struct location *location = &locations[at];
    if (location->epoch != run.epoch) {
        location->bytes = bytes;
        renew(location);
    }
    return location;
}

/* Setup and check work on memory alone. */
static struct location *find_or(struct location *unknown, const void *word, unsigned bytes)
{
    if (run.current != NOBODY) {
        return find(word, bytes);
    }
    unknown->word = word;
    unknown->bytes = bytes;
    return unknown;
}

void memory_write_out(struct thread *thread)
{
    struct buffered *oldest = &thread->buffer[0];
    if (run.trace) {
        trace("write-out", oldest->location->word, oldest->value, NULL);
    }
    word_write(oldest->location, oldest->value);
    memcpy(oldest->location->release, oldest->release, sizeof(clocks));
    thread->buffered--;
    memmove(&thread->buffer[0], &thread->buffer[1], thread->buffered * sizeof thread->buffer[0]);
    progress();
}

void memory_drain(struct thread *thread)
{
    while (thread->buffered != 0) {
        memory_write_out(thread);
    }
}

/* A store in somebody's buffer is written out now or later. When it is, matters to nobody but those who
   use its location: they are who asks. */
static void write_out_others(const struct location *location)
{
    for (int i = 0; i < run.count; i++) {
        struct thread *thread = &run.threads[i];
        for (unsigned at = 0; i != run.current && at < thread->buffered;) {
            uint8_t options[] = {0, (uint8_t)(i + 1)};
            if (thread->buffer[at].location != location) {
                at++;
            } else if (choose('f', 2, options) == 0) {
                break;
            } else {
                for (unsigned stores = at + 1; stores != 0; stores--) {
                    memory_write_out(thread);
                }
                at = 0;
            }
        }
    }
}

/* Begins an access. False: nobody else is concerned, memory is all there is to it. */
static bool begin(struct location *location, bool writes)
{
    if (++run.step > (run.program->steps_max != 0 ? run.program->steps_max : 4000)) {
        model_fail("livelock: more than %u steps", run.step - 1);
    }
    if (!location->shared) {
        location->users |= (uint8_t)(1u << run.current);
        location->written |= writes;
        if (location->written && (location->users & (location->users - 1)) != 0) {
            location->shared = true; /* and should have been from the beginning */
            run.abandoned = true;
            end_execution();
        }
        if (freed_count != 0) {
            freed_check(location->word);
        }
        return false;
    }
    point();
    if (run.memory == MODEL_TSO) {
        write_out_others(location);
    }
    if (freed_count != 0) {
        freed_check(location->word);
    }
    return true;
}

static struct thread *self(void)
{
    return &run.threads[run.current];
}

/* Ends it: what the thread does from here on is later than this. */
static void end(struct thread *me)
{
    me->clock[run.current]++;
}

static bool acquires(enum model_order order)
{
    return order == MODEL_ACQUIRE || order == MODEL_ACQ_REL || order == MODEL_SC;
}

static bool releases(enum model_order order)
{
    return order >= MODEL_RELEASE;
}

/* ------------------------------------------------------------------------------------ C11 */

static struct store *stored(struct location *location, uint32_t index)
{
    return &location->history[index % HISTORY];
}

static void note_seen(struct location *location, const struct thread *me, uint32_t index,
                      enum model_order order)
{
    if (index > location->seen[run.current] || location->seen_clock[run.current] == 0) {
        location->seen[run.current] = index;
        location->seen_clock[run.current] = me->clock[run.current];
    }
    if (order == MODEL_SC && index > location->sc_floor) {
        location->sc_floor = index;
    }
}

static uint32_t oldest_visible(struct location *location, const struct thread *me,
                               enum model_order order)
{
    uint32_t least = location->count > HISTORY ? location->count - HISTORY : 0;
    for (int i = 0; i < run.count; i++) {
        if (location->seen_clock[i] != 0 && me->clock[i] >= location->seen_clock[i] &&
            location->seen[i] > least) {
            least = location->seen[i];
        }
    }
    if (order == MODEL_SC && location->sc_floor > least) {
        least = location->sc_floor;
    }
    for (uint32_t i = location->count - 1; i > least; i--) {
        const struct store *store = stored(location, i);
        if (me->clock[store->thread] >= store->clock) {
            return i;
        }
    }
    return least;
}

static uint64_t load_c11(struct location *location, struct thread *me, enum model_order order)
{
    uint32_t newest = location->count - 1, back = 0;
    if (run.budget > 0 && newest > 0) {
        uint32_t options = location->count - oldest_visible(location, me, order);
        if (options > 1) {
            static const uint8_t ages[HISTORY] = {0, 1, 2, 3, 4, 5, 6, 7};
            back = choose('l', options, ages);
            run.budget -= back != 0;
        }
    }
    struct store *store = stored(location, newest - back);
    note_seen(location, me, newest - back, order);
    if (acquires(order)) {
        clocks_join(me->clock, store->release);
    }
    return store->value;
}

static void store_c11(struct location *location, struct thread *me, uint64_t value,
                      enum model_order order, const struct store *continued)
{
    struct store made = {
        .value = value, .thread = (uint32_t)run.current, .clock = me->clock[run.current]};
    if (releases(order)) {
        memcpy(made.release, me->clock, sizeof(clocks));
    }
    if (continued != NULL) { /* a read-modify-write goes on with the release sequence */
        clocks_join(made.release, continued->release);
    }
    uint32_t index = location->count++;
    *stored(location, index) = made;
    note_seen(location, me, index, order);
    word_write(location, value);
}

/* ------------------------------------------------------------------------------------ TSO */

static uint64_t load_tso(struct location *location, struct thread *me, enum model_order order)
{
    for (unsigned i = me->buffered; i-- > 0;) {
        if (me->buffer[i].location == location) {
            return me->buffer[i].value;
        }
    }
    if (acquires(order)) {
        clocks_join(me->clock, location->release);
    }
    return word_read(location);
}

static void store_tso(struct location *location, struct thread *me, uint64_t value,
                      enum model_order order)
{
    if (me->buffered == BUFFER) {
        memory_write_out(me);
    }
    struct buffered *made = &me->buffer[me->buffered++];
    made->location = location;
    made->value = value;
    memset(made->release, 0, sizeof(clocks));
    if (releases(order)) {
        memcpy(made->release, me->clock, sizeof(clocks));
    }
    if (order == MODEL_SC || (me->buffered == 1 && !deviates('d', false))) {
        memory_drain(me); /* behind a delayed one a store waits too */
    }
}

/* ------------------------------------------------------------------------------- accesses */

uint64_t model_load(const void *word, unsigned bytes, enum model_order order)
{
    if (run.current == NOBODY) {
        return bytes == 8 ? *(const uint64_t *)word : *(const uint32_t *)word;
    }
    struct location *location = find(word, bytes);
    if (!begin(location, false)) {
        return word_read(location);
    }
    struct thread *me = self();
    uint64_t value =
        run.memory == MODEL_C11 ? load_c11(location, me, order) : load_tso(location, me, order);
    if (run.trace) {
        trace("load", word, value, __builtin_return_address(0));
    }
    end(me);
    return value;
}

void model_store(void *word, unsigned bytes, uint64_t value, enum model_order order)
{
    if (run.current == NOBODY) {
        struct location plain = {.word = word, .bytes = bytes};
        word_write(&plain, value);
        return;
    }
    struct location *location = find(word, bytes);
    if (!begin(location, true)) {
        word_write(location, value);
        progress();
        return;
    }
    struct thread *me = self();
    if (run.trace) {
        trace("store", word, value, __builtin_return_address(0));
    }
    if (run.memory == MODEL_C11) {
        store_c11(location, me, value, order, NULL);
    } else {
        store_tso(location, me, value, order);
    }
    end(me);
    progress();
}

static uint64_t narrow(uint64_t value, unsigned bytes)
{
    return bytes == 8 ? value : (uint32_t)value;
}

/* A read-modify-write works on the newest value, whatever the memory. */
static uint64_t newest(struct location *location, struct thread *me, enum model_order order)
{
    memory_drain(me);
    if (run.memory == MODEL_C11) {
        struct store *last = stored(location, location->count - 1);
        if (acquires(order)) {
            clocks_join(me->clock, last->release);
        }
        return last->value;
    }
    if (acquires(order)) {
        clocks_join(me->clock, location->release);
    }
    return word_read(location);
}

static void replace(struct location *location, struct thread *me, uint64_t value,
                    enum model_order order)
{
    if (run.memory == MODEL_C11) {
        struct store last = *stored(location, location->count - 1);
        store_c11(location, me, value, order, &last);
    } else {
        if (releases(order)) {
            clocks_join(location->release, me->clock);
        }
        word_write(location, value);
    }
    end(me);
    progress();
}

uint64_t model_add(void *word, unsigned bytes, uint64_t value, enum model_order order)
{
    struct location *location = find_or(&(struct location){0}, word, bytes);
    if (run.current == NOBODY || !begin(location, true)) {
        uint64_t before = word_read(location);
        word_write(location, narrow(before + value, bytes));
        progress();
        return before;
    }
    struct thread *me = self();
    uint64_t before = newest(location, me, order);
    if (run.trace) {
        trace("add", word, narrow(before + value, bytes), __builtin_return_address(0));
    }
    replace(location, me, narrow(before + value, bytes), order);
    return before;
}

uint64_t model_swap(void *word, unsigned bytes, uint64_t value, enum model_order order)
{
    struct location *location = find_or(&(struct location){0}, word, bytes);
    if (run.current == NOBODY || !begin(location, true)) {
        uint64_t before = word_read(location);
        word_write(location, value);
        progress();
        return before;
    }
    struct thread *me = self();
    uint64_t before = newest(location, me, order);
    if (run.trace) {
        trace("swap", word, value, __builtin_return_address(0));
    }
    replace(location, me, value, order);
    return before;
}

/* A compare-and-swap that fails is a load, and may have read an older value: any but the expected. */
static bool reads_old(struct location *location, struct thread *me, uint64_t *expected,
                      enum model_order failure)
{
    if (run.memory != MODEL_C11 || run.budget <= 0 || location->count < 2) {
        return false;
    }
    uint8_t ages[HISTORY] = {0};
    unsigned options = 1;
    uint32_t last = location->count - 1, least = oldest_visible(location, me, failure);
    for (uint32_t i = last; i-- > least;) {
        if (stored(location, i)->value != *expected) {
            ages[options++] = (uint8_t)(last - i);
        }
    }
    unsigned option = options > 1 ? choose('c', options, ages) : 0;
    if (option == 0) {
        return false;
    }
    run.budget--;
    struct store *store = stored(location, last - ages[option]);
    note_seen(location, me, last - ages[option], failure);
    if (acquires(failure)) {
        clocks_join(me->clock, store->release);
    }
    *expected = store->value;
    return true;
}

bool model_cas(void *word, unsigned bytes, uint64_t *expected, uint64_t value,
               enum model_order success, enum model_order failure)
{
    struct location *location = find_or(&(struct location){0}, word, bytes);
    if (run.current == NOBODY || !begin(location, true)) {
        uint64_t before = word_read(location);
        if (before != *expected) {
            *expected = before;
            return false;
        }
        word_write(location, value);
        progress();
        return true;
    }
    struct thread *me = self();
    if (reads_old(location, me, expected, failure)) {
        if (run.trace) {
            trace("cas old", word, *expected, __builtin_return_address(0));
        }
        end(me);
        return false;
    }
    memory_drain(me);
    uint64_t found = run.memory == MODEL_C11 ? stored(location, location->count - 1)->value
                                             : word_read(location);
    bool equal = found == *expected;
    (void)newest(location, me, equal ? success : failure);
    if (run.trace) {
        trace(equal ? "cas" : "cas fails", word, equal ? value : found,
              __builtin_return_address(0));
    }
    if (equal) {
        replace(location, me, value, success);
    } else {
        if (run.memory == MODEL_C11) {
            note_seen(location, me, location->count - 1, failure);
        }
        *expected = found;
        end(me);
    }
    return equal;
}

/* ----------------------------------------------------------------------------- plain data */

static void race(const char *what, uint32_t other)
{
    model_fail("race: %s %s %s", run.threads[run.current].name, what, run.threads[other].name);
}

void model_plain_read(const void *object)
{
    if (run.current == NOBODY) {
        return;
    }
    struct location *location = find(object, 8);
    const struct thread *me = self();
    freed_check(object);
    if (location->writer < NOBODY && location->writer != (uint32_t)run.current &&
        location->write_clock > me->clock[location->writer]) {
        race("reads what is not ordered after a write by", location->writer);
    }
    location->read_clock[run.current] = me->clock[run.current];
}

void model_plain_write(const void *object)
{
    if (run.current == NOBODY) {
        return;
    }
    struct location *location = find(object, 8);
    const struct thread *me = self();
    freed_check(object);
    if (location->writer < NOBODY && location->writer != (uint32_t)run.current &&
        location->write_clock > me->clock[location->writer]) {
        race("writes what is not ordered after a write by", location->writer);
    }
    for (int i = 0; i < run.count; i++) {
        if (i != run.current && location->read_clock[i] > me->clock[i]) {
            race("writes what is not ordered after a read by", (uint32_t)i);
        }
    }
    location->writer = (uint32_t)run.current;
    location->write_clock = me->clock[run.current];
}
