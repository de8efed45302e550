/* Many threads, many kinds of callables, little room: each accepted callable runs or is dropped exactly once,
   is destroyed exactly once, and what it throws arrives. */
#include "check.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using check::counted;

static constexpr int threads = 4;

struct tally {
    std::atomic<long> accepted{0}, refused{0}, ran{0}, dropped{0}, threw{0};
};

/* A callable of some size that counts what becomes of it. */
template <std::size_t bytes> struct work {
    tally *to;
    counted life;
    bool throws;
    unsigned char more[bytes];

    void operator()()
    {
        to->ran++;
        if (throws) {
            to->threw++;
            throw std::runtime_error(std::string(20, 'x'));
        }
    }
    void dropped(std::error_code) noexcept
    {
        to->dropped++;
    }
};

template <std::size_t bytes, class To> static void submit_one(To &to, tally &all, bool throws)
{
    work<bytes> callable{&all, {}, throws, {}};
    if (to.submit(std::move(callable))) {
        all.refused++;
    } else {
        all.accepted++;
    }
}

template <class To> static void submit_some(To &to, tally &all, int count, unsigned seed)
{
    for (int i = 0; i < count; i++) {
        seed = seed * 1664525 + 1013904223;
        bool throws = seed >> 24 < 16;
        switch (seed >> 16 & 3) {
        case 0:
            submit_one<1>(to, all, throws);
            break;
        case 1:
            submit_one<24>(to, all, throws);
            break;
        case 2:
            submit_one<100>(to, all, throws);
            break;
        default:
            submit_one<2000>(to, all, throws);
        }
    }
}

static void groups_beside_groups()
{
    numapool::config settings;
    settings.workers_max(6).queue_tasks(100).memory_bytes(32u << 20).machine(
        "pack:2 [numa] core:2 pu:1");
    numapool::pool pool(settings);
    tally all;
    std::atomic<long> rethrown{0};
    std::vector<std::thread> crowd;
    for (int t = 0; t < threads; t++) {
        crowd.emplace_back([&, t] {
            for (int turn = 0; turn < 60; turn++) {
                numapool::group group(pool);
                submit_some(group, all, 50, static_cast<unsigned>(t * 1000 + turn));
                if (turn % 7 == 3) {
                    CHECK(!group.cancel());
                }
                try {
                    CHECK(!group.wait());
                } catch (const std::runtime_error &e) {
                    CHECK(std::string(e.what()) == std::string(20, 'x'));
                    rethrown++;
                }
                if (group.threw() != 0) {
                    CHECK(group.exception() == nullptr); /* the first was thrown, others counted */
                }
            }
        });
    }
    for (std::thread &one : crowd) {
        one.join();
    }
    CHECK(all.accepted + all.refused == threads * 60 * 50);
    CHECK(all.ran + all.dropped == all.accepted && counted::alive == 0);
    CHECK((rethrown != 0) == (all.threw != 0) && rethrown <= all.threw);
    CHECK(!pool.drain() && pool.threw() == 0);
    struct numapool_stats stats = pool.stats();
    CHECK(stats.accepted == static_cast<std::uint64_t>(all.accepted.load()));
    CHECK(stats.run == static_cast<std::uint64_t>(all.ran.load()) && stats.bytes_in_use == 0);
}

/* Pools that end while tasks wait; tasks that submit tasks. */
static void ends_beside_tasks()
{
    tally all;
    for (int turn = 0; turn < 30; turn++) {
        numapool::config settings = check::one_worker(200);
        settings.workers_max(3);
        numapool::pool pool(settings);
        std::vector<std::thread> crowd;
        for (int t = 0; t < 2; t++) {
            crowd.emplace_back(
                [&, t] { submit_some(pool, all, 60, static_cast<unsigned>(turn * 10 + t)); });
        }
        auto nested = [&] { submit_some(pool, all, 20, static_cast<unsigned>(turn)); };
        numapool::group group(pool);
        std::error_code code = group.submit(nested);
        for (std::thread &one : crowd) {
            one.join();
        }
        CHECK(code || !group.wait());
        if (turn % 2 == 0) {
            try {
                CHECK(!pool.drain());
            } catch (const std::runtime_error &) {
                CHECK(pool.threw() != 0);
            }
        }
        group = numapool::group(nullptr);
    }
    CHECK(all.ran + all.dropped == all.accepted && counted::alive == 0);
}

int main()
{
    CASE(groups_beside_groups);
    CASE(ends_beside_tasks);
    return 0;
}
