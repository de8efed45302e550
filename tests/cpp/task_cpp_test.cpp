/* Callables as tasks: run, refused, dropped, throwing, ending their thread; each destroyed exactly once. */
#include "check.hpp"

#include <array>
#include <cstring>
#include <future>
#include <memory>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using check::counted;

/* ------------------------------------------------------------------------------- refused */

/* What was refused is as before, and may be handed over again. */
static void refused()
{
    numapool::pool pool(check::one_worker(2));
    check::blocker hold(pool);
    std::vector<std::string> said(8);
    struct closure {
        std::unique_ptr<int> number;
        std::string *to;
        counted life;
        void operator()()
        {
            *to = std::to_string(*number);
        }
    };
    int accepted = 0, refused = 0;
    for (int i = 0; i < 8; i++) {
        closure task{std::make_unique<int>(i), &said[(size_t)i], counted()};
        std::error_code code = pool.submit(std::move(task));
        if (code) {
            refused++;
            CHECK(numapool::try_later(code) && task.number != nullptr && *task.number == i);
            CHECK(!code.message().empty());
            task();
        } else {
            accepted++;
            CHECK(task.number == nullptr);
        }
    }
    CHECK(accepted >= 1 && accepted <= 2 && refused == 8 - accepted);
    CHECK(counted::alive == accepted);

    /* A closure has no assignment: it is made again in its place. */
    auto number = std::make_unique<int>(77);
    const int *raw = number.get();
    auto lambda = [number = std::move(number), &said] { said[0] += std::to_string(*number); };
    CHECK(pool.submit(std::move(lambda)));
    hold.let_go();
    CHECK(!pool.submit_wait(std::move(lambda)));
    CHECK(!pool.drain() && counted::alive == 0);
    CHECK(said[0] == "077" && raw != nullptr);
    for (int i = 1; i < 8; i++) {
        CHECK(said[(size_t)i] == std::to_string(i));
    }
    CHECK(pool.submit(std::move(lambda)) == numapool::errc::closed);
}

/* An lvalue is copied and stays; a copy that throws has no effect. */
static void copied()
{
    numapool::pool pool(check::one_worker(16));
    std::atomic<int> sum{0};
    std::string text = "copied";
    auto task = [text, &sum] { sum += (int)text.size(); };
    CHECK(!pool.submit(task) && !pool.submit(task));
    const auto constant = task;
    CHECK(!pool.submit(constant) && !pool.submit(std::move(constant)));
    struct throws_when_copied {
        throws_when_copied() = default;
        throws_when_copied(const throws_when_copied &)
        {
            throw std::runtime_error("no copy");
        }
        void operator()() const
        {
        }
    } bad;
    bool thrown = false;
    try {
        (void)pool.submit(bad);
    } catch (const std::runtime_error &) {
        thrown = true;
    }
    CHECK(thrown);
    auto plain = [] {};
    static_assert(noexcept(pool.submit(std::move(plain))) && !noexcept(pool.submit(bad)));
    CHECK(!pool.drain() && sum == 24 && pool.stats().submitted == 4);
}

/* ------------------------------------------------------------------- sizes and alignments */

template <size_t bytes, size_t align> struct sized {
    alignas(align) unsigned char content[bytes];
    std::atomic<int> *good;

    sized(std::atomic<int> *good_count, unsigned char fill) : good(good_count)
    {
        std::memset(content, fill, bytes);
    }
    void operator()() const
    {
        bool right = reinterpret_cast<uintptr_t>(this) % alignof(sized) == 0;
        for (size_t i = 0; i < bytes; i++) {
            right = right && content[i] == content[0];
        }
        *good += right && content[0] == bytes % 251;
    }
};

template <size_t bytes, size_t align>
static void submit_sized(numapool::pool &pool, std::atomic<int> &good)
{
    CHECK(!pool.submit_wait(sized<bytes, align>(&good, bytes % 251)));
}

static void sizes()
{
    numapool::pool pool(check::one_worker(64));
    std::atomic<int> good{0};
    submit_sized<1, 1>(pool, good);
    submit_sized<39, 1>(pool, good);
    submit_sized<40, 1>(pool, good); /* with its pointer 48 */
    submit_sized<41, 1>(pool, good);
    submit_sized<200, 8>(pool, good);
    submit_sized<5000, 16>(pool, good);
    submit_sized<100000, 1>(pool, good);
    submit_sized<16, 16>(pool, good);
    submit_sized<16, 32>(pool, good);
    submit_sized<64, 64>(pool, good);
    submit_sized<300, 256>(pool, good);
    submit_sized<40, 4096>(pool, good);
    CHECK(!pool.drain() && good == 12);
    CHECK(pool.stats().bytes_in_use == 0);
}

/* More callables than records, after the budget was raised: they go into the pool's memory. */
static void beyond_records()
{
    numapool::config settings = check::one_worker(32);
    numapool::pool pool(settings);
    CHECK(!pool.set_budget(150));
    std::atomic<bool> go{false};
    std::atomic<int> running{0};
    for (int i = 0; i < 150; i++) {
        CHECK(!pool.submit_wait([&, life = counted()] {
            running++;
            check::until(go);
        }));
    }
    while (running < 150) {
        std::this_thread::sleep_for(100us);
    }
    CHECK(pool.stats().bytes_in_use >= 64 && counted::alive == 150);
    go = true;
    CHECK(!pool.drain() && running == 150 && counted::alive == 0);
    CHECK(pool.stats().bytes_in_use == 0);
}

/* -------------------------------------------------------------------------------- dropped */

static void dropped()
{
    std::atomic<int> ran{0}, told{0};
    std::error_code last;
    auto make = [&] {
        return numapool::on_drop([&ran, life = counted()] { ran++; },
                                 [&told, &last](std::error_code why) {
                                     told++;
                                     last = why;
                                 });
    };
    {
        numapool::pool pool(check::one_worker(16));
        check::blocker hold(pool);
        numapool::group group(pool);
        CHECK(!group.submit(make()) && !group.submit(make()));
        CHECK(!group.cancel());
        CHECK(group.submit(make()) == numapool::errc::cancelled && told == 0);
        hold.let_go();
        CHECK(!group.wait() && ran == 0 && told == 2 && last == numapool::errc::cancelled);
        CHECK(group.dropped() == 2 && group.why() == numapool::errc::cancelled);
        CHECK(counted::alive == 0);
    }
    {
        numapool::pool pool(check::one_worker(16));
        check::blocker hold(pool);
        std::chrono::steady_clock::time_point soon;
        std::error_code code;
        do { /* too late already when the machine held this up */
            soon = std::chrono::steady_clock::now() + 20ms;
            code = pool.submit(make(), numapool::task_options().deadline(soon));
        } while (code == numapool::errc::deadline);
        CHECK(!code);
        std::this_thread::sleep_until(soon);
        hold.let_go();
        CHECK(!pool.drain() && ran == 0 && told == 3 && last == numapool::errc::deadline);
        CHECK(counted::alive == 0 && pool.stats().dropped == 1);
    }
}

/* What waits when the pool ends is dropped with `closed`. */
static void dropped_by_end()
{
    std::atomic<int> ran{0}, told{0}, untold{0};
    for (int turn = 0; turn < 20; turn++) {
        numapool::pool pool(check::one_worker(64));
        for (int i = 0; i < 16; i++) {
            CHECK(!pool.submit(numapool::on_drop(
                [&ran, life = counted()] { ran++; },
                [&told](std::error_code why) { told += why == numapool::errc::closed; })));
            /* Not told, destroyed all the same; in a record and in the pool's memory. */
            CHECK(!pool.submit([&untold, life = counted()] { untold++; }));
            CHECK(!pool.submit([&untold, bytes = std::array<char, 100>(), life = counted()] {
                untold += 1 + bytes[99];
            }));
        }
    }
    CHECK(ran + told == 20 * 16 && untold <= 20 * 32 && counted::alive == 0);
}

/* ----------------------------------------------------------------------------- exceptions */

static void exceptions_of_group()
{
    numapool::pool pool(check::one_worker(64));
    numapool::group group(pool);
    check::blocker hold(pool);
    std::atomic<int> ran{0};
    for (int i = 0; i < 5; i++) {
        CHECK(!group.submit([i, &ran, life = counted()] {
            ran++;
            if (i == 1 || i == 3) {
                throw std::runtime_error("task " + std::to_string(i));
            }
        }));
    }
    CHECK(group.wait(0ns) == numapool::errc::timed_out); /* nothing to throw yet */
    hold.let_go();
    std::string what;
    try {
        (void)group.wait();
    } catch (const std::runtime_error &e) {
        what = e.what();
    }
    CHECK(what == "task 1" && ran == 5 && group.threw() == 2 && counted::alive == 0);
    CHECK(!group.wait()); /* once */

    CHECK(!group.submit([] { throw 42; })); /* anything may be thrown, and the group used again */
    int number = 0;
    try {
        (void)group.wait();
    } catch (int thrown) {
        number = thrown;
    }
    CHECK(number == 42);
    CHECK(!group.submit([] { throw std::string("fetched"); }));
    while (group.threw() != 4) {
        std::this_thread::sleep_for(100us);
    }
    std::exception_ptr fetched = group.exception();
    CHECK(fetched != nullptr && group.exception() == nullptr && !group.wait());
    CHECK(!pool.drain() && pool.threw() == 0 && pool.stats().run == 8);
}

static void exceptions_without_group()
{
    numapool::pool pool(check::one_worker(64));
    CHECK(!pool.submit([] { throw std::logic_error("first"); }));
    CHECK(!pool.submit([] { throw std::logic_error("second"); }));
    CHECK(!pool.submit([bytes = std::array<char, 200>()] { throw bytes.size(); }));
    std::string what;
    try {
        (void)pool.drain();
    } catch (const std::logic_error &e) {
        what = e.what();
    }
    CHECK(what == "first" && pool.threw() == 3 && !pool.drain());
    CHECK(pool.stats().run == 3);
}

/* A drop that throws, and a group that ends without being asked: nothing reaches the library. */
static void exceptions_nobody_asks_for()
{
    numapool::pool pool(check::one_worker(64));
    {
        numapool::group group(pool);
        check::blocker hold(pool);
        CHECK(!group.submit(numapool::on_drop([] {}, [](std::error_code why) { throw why; })));
        CHECK(!group.cancel());
        hold.let_go();
        std::error_code thrown;
        try {
            (void)group.wait();
        } catch (std::error_code &code) {
            thrown = code;
        }
        CHECK(thrown == numapool::errc::cancelled);
    }
    {
        numapool::group group(pool);
        CHECK(!group.submit([] { throw std::runtime_error("lost"); }));
    }
    CHECK(!pool.submit([] { throw std::runtime_error("lost, too"); }));
    CHECK(!pool.close());
}

/* One value for one waiter. */
static void futures()
{
    numapool::pool pool(check::one_worker(64));
    std::packaged_task<int()> good([] { return 7; });
    std::packaged_task<int()> bad([]() -> int { throw std::out_of_range("far"); });
    std::future<int> seven = good.get_future(), far = bad.get_future();
    CHECK(!pool.submit(std::move(good)) && !pool.submit(std::move(bad)));
    CHECK(seven.get() == 7);
    bool thrown = false;
    try {
        (void)far.get();
    } catch (const std::out_of_range &) {
        thrown = true;
    }
    CHECK(thrown);

    /* What was thrown is read here, and destroyed by the worker. */
    std::packaged_task<int()> later([]() -> int { throw 42; });
    std::future<int> number = later.get_future();
    std::atomic<bool> read{false};
    CHECK(!pool.submit([later = std::move(later), &read]() mutable {
        later();
        check::until(read);
    }));
    int value = 0;
    try {
        (void)number.get();
    } catch (const int &far_off) {
        value = far_off;
    }
    /* This orders nothing: the exception's own count does. */
    read.store(true, std::memory_order_relaxed);
    CHECK(value == 42);

    check::blocker hold(pool);
    numapool::group group(pool);
    std::packaged_task<int()> never([] { return 1; });
    std::future<int> broken = never.get_future();
    CHECK(!group.submit(std::move(never)) && !group.cancel());
    hold.let_go();
    thrown = false;
    try {
        (void)broken.get();
    } catch (const std::future_error &e) {
        thrown = e.code() == std::future_errc::broken_promise;
    }
    CHECK(thrown);
}

/* -------------------------------------------------------------------------------- threads */

/* It counts as run, what it holds is destroyed, and another worker takes its place. */
static void ends_its_thread()
{
    numapool::pool pool(check::one_worker(64));
    numapool::group group(pool);
    std::atomic<int> after{0}, unwound{0};
    CHECK(!group.submit([&unwound, life = counted()] {
        struct on_stack {
            std::atomic<int> &count;
            ~on_stack()
            {
                count++;
            }
        } here{unwound};
        pthread_exit(nullptr);
    }));
    CHECK(!group.wait() && group.threw() == 0 && unwound == 1 && counted::alive == 0);
    CHECK(!pool.submit([&after] { after++; }) && !pool.drain() && after == 1);
    CHECK(pool.stats().run == 2);
}

/* A member that ends its own group does not wait for itself: neither in its run nor in its drop, on a worker
   or on the thread that ends the pool. */
static void ends_its_group()
{
    std::atomic<int> ran{0}, others{0};
    for (int turn = 0; turn < 3; turn++) {
        numapool::pool pool(check::one_worker(64));
        check::blocker hold(pool);
        auto group = std::make_shared<numapool::group>(pool);
        CHECK(!group->submit([group, &ran]() mutable {
            group.reset();
            ran++;
        }));
        CHECK(!group->submit([&others, life = counted()] { others++; }));
        if (turn == 1) {
            CHECK(!group->cancel());
        }
        group.reset();
        std::thread later;
        if (turn ==
            2) { /* closing has begun before the worker is free: the rest is dropped there */
            numapool *native = pool.native();
            later = std::thread([native, &hold] {
                while (numapool_submit(
                           native, [](void *) {}, nullptr) != NUMAPOOL_E_CLOSED) {
                    std::this_thread::sleep_for(100us);
                }
                hold.let_go();
            });
        } else {
            hold.let_go();
            CHECK(!pool.drain());
        }
        CHECK(pool.close() != numapool::errc::deadlock);
        if (later.joinable()) {
            later.join();
        }
        CHECK(counted::alive == 0);
    }
    CHECK(ran >= 1 && ran <= 2 && others <= 1);
}

/* The destructor waits. */
static void group_waits()
{
    numapool::pool pool(check::one_worker(64));
    int sum = 0;
    {
        numapool::group group(pool);
        for (int i = 1; i <= 20; i++) {
            CHECK(
                !group.submit_wait([&sum, i] { sum += i; })); /* one worker: one after the other */
        }
    }
    CHECK(sum == 210);
    numapool::group one(pool), two(pool);
    CHECK(!one.submit([&sum] { sum++; }));
    one = std::move(two); /* waits for the first */
    CHECK(sum == 211 && !one.wait());
}

static void as_options_say()
{
    numapool::config settings = check::one_worker(64);
    settings.machine("pack:2 [numa] core:1 pu:1").shards(NUMAPOOL_PER_NODE).workers_max(2);
    numapool::pool pool(settings);
    std::atomic<int> nodes[2] = {};
    numapool::group group(pool);
    for (int i = 0; i < 40; i++) {
        int node = i % 2;
        CHECK(!group.submit_wait(
            [&nodes, node]() noexcept { nodes[node] += numapool_current_node() == node; },
            numapool::forever, numapool::task_options().on_node(node).strict_node()));
    }
    CHECK(!group.wait() && nodes[0] == 20 && nodes[1] == 20);
    CHECK(pool.submit([] {}, numapool::task_options().on_node(2)) == numapool::errc::invalid);
    std::atomic<bool> had{false};
    CHECK(!group.submit([&had] { had = numapool_scratch(5000) != nullptr; },
                        numapool::task_options().bytes(8192).critical()));
    CHECK(!group.wait() && had);
    CHECK(pool.submit([] {}, numapool::task_options().bytes(1u << 30)) == numapool::errc::full);
    CHECK(!group.submit([] {}, numapool::task_options().sheddable().drop_ok()) && !group.wait());
}

int main()
{
    CASE(refused);
    CASE(copied);
    CASE(sizes);
    CASE(beyond_records);
    CASE(dropped);
    CASE(dropped_by_end);
    CASE(exceptions_of_group);
    CASE(exceptions_without_group);
    CASE(exceptions_nobody_asks_for);
    CASE(futures);
    CASE(ends_its_thread);
    CASE(ends_its_group);
    CASE(group_waits);
    CASE(as_options_say);
    CHECK(counted::alive == 0 && counted::made > 0);
    return 0;
}
