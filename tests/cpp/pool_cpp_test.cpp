/* numapool::pool, config and the codes: owners, moves, settings, what is thrown and what is returned. */
#include "check.hpp"

#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

using namespace std::chrono_literals;

static void life()
{
    numapool::pool pool;
    CHECK(pool && pool.native() != nullptr && pool.shard_count() >= 1 && pool.node_count() >= 1);
    std::atomic<int> ran{0};
    for (int i = 0; i < 100; i++) {
        CHECK(!pool.submit_wait([&ran] { ran++; }));
    }
    CHECK(!pool.drain() && ran == 100);
    CHECK(pool.submit([] {}) == numapool::errc::closed);
    struct numapool_stats stats = pool.stats();
    CHECK(stats.struct_size == sizeof stats && stats.accepted == 100 && stats.run == 100);
    CHECK(pool.shard_stats(0).queue_capacity != 0 && pool.shard_stats(1000).queue_capacity == 0);
    CHECK(!pool.close() && !pool && pool.native() == nullptr);
}

static void moves()
{
    static_assert(!std::is_copy_constructible_v<numapool::pool> &&
                  std::is_nothrow_move_constructible_v<numapool::pool> &&
                  std::is_nothrow_move_assignable_v<numapool::pool>);
    static_assert(!std::is_copy_constructible_v<numapool::group> &&
                  std::is_nothrow_move_constructible_v<numapool::group>);
    static_assert(!std::is_copy_constructible_v<numapool::config> &&
                  std::is_nothrow_move_constructible_v<numapool::config>);
    numapool::pool first(check::one_worker(16));
    numapool *native = first.native();
    check::blocker hold(first);
    numapool::group tasks(first);
    std::atomic<int> ran{0};
    CHECK(!tasks.submit([&ran] { ran++; }));

    /* With a task running and one waiting: they know nothing of the objects. */
    numapool::pool second(std::move(first));
    numapool::group moved(std::move(tasks));
    CHECK(!first && second.native() == native && !tasks && moved);
    numapool::pool third(nullptr);
    third = std::move(second);
    CHECK(!second && third.native() == native);
    hold.let_go();
    CHECK(!moved.wait() && ran == 1);

    std::vector<numapool::pool> many;
    many.push_back(std::move(third));
    many.emplace_back(check::one_worker(4));
    many.emplace_back(check::one_worker(4));
    CHECK(!many[0].submit([&ran] { ran++; }) && !many[0].drain() && ran == 2);
    many[1] = std::move(many[2]); /* closes the one that was there */
    CHECK(!many[1].submit([&ran] { ran++; }) && !many[1].drain() && ran == 3);

    /* The group outlives its pool: all members have ended, and no more are taken. */
    CHECK(!many[0].close() && !moved.wait() && !moved.wait(std::chrono::nanoseconds(0)));
    CHECK(moved.submit([] {}) == numapool::errc::closed && !moved.cancel());
}

static void empty()
{
    numapool::pool none(nullptr);
    int calls = 0;
    CHECK(none.submit([&calls] { calls++; }) == numapool::errc::invalid && calls == 0);
    CHECK(none.submit_wait([&calls] { calls++; }, 1ms) == numapool::errc::invalid);
    CHECK(none.drain() == numapool::errc::invalid);
    CHECK(none.set_budget(1) == numapool::errc::invalid);
    CHECK(!none.close() && none.stats().struct_size == 0 && none.shard_count() == 0);
    CHECK(none.exception() == nullptr && none.threw() == 0 && none.retry_after() == 0ns);
    numapool::group nobody(nullptr);
    CHECK(nobody.submit([] {}) == numapool::errc::invalid);
    CHECK(nobody.wait() == numapool::errc::invalid && nobody.cancel() == numapool::errc::invalid);
    CHECK(nobody.exception() == nullptr && nobody.dropped() == 0 && !nobody.why());
    bool thrown = false;
    try {
        numapool::group of_none(none);
    } catch (const numapool::error &e) {
        thrown = e.code() == numapool::errc::invalid;
    }
    CHECK(thrown);
}

static void settings()
{
    numapool::config given;
    given.workers_max(7)
        .workers_min(3)
        .queue_tasks(55)
        .queue_delay(20ms)
        .memory_bytes(1u << 26)
        .idle_exit(2s)
        .spin(numapool::forever)
        .tick(5ms)
        .latency_bias(0.2)
        .codel(3ms, 60ms)
        .watchdog(numapool::forever)
        .shards(NUMAPOOL_PER_PACKAGE)
        .pinning(NUMAPOOL_PIN_NONE)
        .smt(NUMAPOOL_SMT_ALL)
        .mode(NUMAPOOL_FIXED)
        .machine("pack:2 [numa] core:1 pu:1")
        .name("abc") /* short enough to lie inside the string object */
        .stack_bytes(1u << 20);
    numapool::config moved(std::move(given));
    const struct numapool_config &raw = moved.raw();
    CHECK(raw.workers_max == 7 && raw.workers_min == 3 && raw.queue_tasks == 55);
    CHECK(raw.queue_delay_ns == 20000000 && raw.memory_bytes == 1u << 26);
    CHECK(raw.idle_exit_ns == 2000000000 && raw.spin_ns == NUMAPOOL_OFF && raw.tick_ns == 5000000);
    CHECK(raw.latency_bias > 0.19 && raw.latency_bias < 0.21);
    CHECK(raw.codel_target_ns == 3000000 && raw.codel_interval_ns == 60000000);
    CHECK(raw.watchdog_ns == NUMAPOOL_OFF && raw.shards == NUMAPOOL_PER_PACKAGE);
    CHECK(raw.pinning == NUMAPOOL_PIN_NONE && raw.smt == NUMAPOOL_SMT_ALL);
    CHECK(raw.mode == NUMAPOOL_FIXED && raw.stack_bytes == 1u << 20);
    CHECK(std::strcmp(raw.machine, "pack:2 [numa] core:1 pu:1") == 0);
    CHECK(std::strcmp(raw.name, "abc") == 0);
    CHECK(given.raw().workers_max == 0 && given.raw().machine == nullptr);
    numapool::config assigned;
    assigned.name("xyz");
    assigned = std::move(moved);
    CHECK(std::strcmp(assigned.raw().name, "abc") == 0);
    numapool::pool pool(assigned);
    CHECK(pool.shard_count() == 2 && pool.node_count() == 2);
    CHECK(pool.stats().queue_capacity == 56); /* 28 for each shard */
    CHECK(!pool.set_budget(9) && pool.set_budget(0) == numapool::errc::invalid);
}

static void files()
{
    char path[] = "/tmp/numapool-cpp-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    static const char good[] = "version = 1;\npool: { workers_max = 31; name = \"cfg\"; };\n";
    CHECK(write(fd, good, sizeof good - 1) == (ssize_t)(sizeof good - 1));
    numapool::config from_file;
    struct numapool_error details = {};
    std::error_code code = from_file.load(path, &details);
    if (std::strstr(details.text, "reads no configuration files") != nullptr) {
        std::printf("  no configuration files in this build\n");
    } else {
        CHECK(!code && from_file.raw().workers_max == 31);
        numapool::config moved(std::move(from_file)); /* with what the file allocated */
        CHECK(std::strcmp(moved.raw().name, "cfg") == 0);
        moved.name("own");
        CHECK(std::strcmp(moved.raw().name, "own") == 0);
    }
    CHECK(from_file.load("/nonexistent/x.conf", &details) == numapool::errc::config);
    CHECK(std::strstr(details.text, "/nonexistent/x.conf") != nullptr);
    close(fd);
    unlink(path);
}

static void codes()
{
    CHECK(!numapool_cpp::code_of(NUMAPOOL_OK));
    for (int result = NUMAPOOL_E_FULL; result >= NUMAPOOL_E_SYSTEM; result--) {
        std::error_code code = numapool_cpp::code_of(result);
        CHECK(code && code.category() == numapool::category() && code.value() == result);
        CHECK(code.message() == numapool_strerror(result));
        CHECK(numapool::try_later(code) == (result >= NUMAPOOL_E_TIMEDOUT));
    }
    std::error_code full = numapool::errc::full;
    CHECK(full == numapool::errc::full && full != numapool::errc::shed);
    CHECK(full == std::errc::resource_unavailable_try_again);
    CHECK(numapool_cpp::code_of(NUMAPOOL_E_TIMEDOUT) == std::errc::timed_out);
    CHECK(numapool_cpp::code_of(NUMAPOOL_E_NOMEM) == std::errc::not_enough_memory);
    CHECK(std::string(numapool::category().name()) == "numapool");
    CHECK(!numapool::try_later(std::make_error_code(std::errc::io_error)));
}

static void bad_settings()
{
    numapool::config bad;
    bad.machine("pack:0 nonsense").latency_bias(7);
    bool thrown = false;
    try {
        numapool::pool pool(bad);
    } catch (const numapool::error &e) {
        thrown = true;
        CHECK(e.code() == numapool::errc::config);
        CHECK(e.details().text[0] != '\0' && std::strstr(e.what(), e.details().text) != nullptr);
    }
    CHECK(thrown);
    numapool::pool pool(nullptr);
    struct numapool_error details = {};
    CHECK(numapool::pool::create(pool, &bad, &details) == numapool::errc::config && !pool);
    CHECK(details.text[0] != '\0');
    numapool::config fine = check::one_worker(8);
    CHECK(!numapool::pool::create(pool, &fine) && pool);
    numapool *before = pool.native();
    CHECK(!numapool::pool::create(pool, &fine) && pool); /* in the place of the first */
    (void)before;
    CHECK(!pool.drain());
}

/* From inside its own task a pool cannot end; it goes on. */
static void closed_by_task()
{
    numapool::pool pool(check::one_worker(8));
    std::error_code said;
    CHECK(!pool.submit([&] { said = pool.close(); }));
    while (pool.stats().run != 1) {
        std::this_thread::sleep_for(100us);
    }
    CHECK(said == numapool::errc::deadlock && pool);
    CHECK(!pool.drain() && !pool.close());
}

static void times()
{
    numapool::pool pool(check::one_worker(4));
    check::blocker hold(pool);
    CHECK(pool.drain(-5s) == numapool::errc::timed_out);
    CHECK(pool.drain(1ms) == numapool::errc::timed_out);
    hold.let_go();
    CHECK(!pool.drain(numapool::forever));
}

int main()
{
    CASE(life);
    CASE(moves);
    CASE(empty);
    CASE(settings);
    CASE(files);
    CASE(codes);
    CASE(bad_settings);
    CASE(closed_by_task);
    CASE(times);
    return 0;
}
