/* Callables that need memory of the pool when it has none: refused, waited for, and why else not taken. */
#include "check.hpp"

#include <memory>
#include <sys/wait.h>
#include <unistd.h>

using namespace std::chrono_literals;
using check::counted;

/* Of two only one has room in a pool of 1 MiB. */
struct large {
    std::atomic<int> *ran;
    std::unique_ptr<int> number = std::make_unique<int>(7);
    counted life;
    unsigned char more[600u << 10];

    explicit large(std::atomic<int> *count) : ran(count)
    {
        more[sizeof more - 1] = 5;
    }
    large(large &&) noexcept = default;
    void operator()()
    {
        *ran += *number + more[sizeof more - 1];
    }
};

static numapool::config small_memory()
{
    numapool::config settings = check::one_worker(8);
    settings.memory_bytes(1u << 20);
    return settings;
}

/* Larger than all of the pool's memory: refused, and as before. */
static void never_fits()
{
    numapool::config settings = small_memory();
    settings.memory_bytes(256u << 10);
    numapool::pool pool(settings);
    std::atomic<int> ran{0};
    auto task = std::make_unique<large>(&ran);
    CHECK(pool.submit(std::move(*task)) == numapool::errc::full);
    CHECK(pool.retry_after() > 0ns && pool.stats().refused_bytes == 1);
    CHECK(pool.submit_wait(std::move(*task), 0ns) == numapool::errc::full);
    CHECK(pool.submit_wait(std::move(*task), 5ms) == numapool::errc::timed_out);
    (*task)();
    CHECK(ran == 12 && !pool.drain() && pool.stats().accepted == 0);
}

/* Waits until a task gives memory back. */
static void waits_for_memory()
{
    numapool::pool pool(small_memory());
    numapool::group group(pool);
    std::atomic<int> ran{0};
    check::blocker hold(pool);
    CHECK(!pool.submit(large(&ran)));
    std::thread later([&] {
        while (pool.stats().refused_bytes < 3) { /* once by each of the two below, then again */
            std::this_thread::sleep_for(100us);
        }
        hold.let_go();
    });
    large task(&ran);
    CHECK(pool.submit(std::move(task)) == numapool::errc::full && task.number != nullptr);
    CHECK(!group.submit_wait(std::move(task)) && task.number == nullptr);
    later.join();
    CHECK(!group.wait() && ran == 24);
    CHECK(!pool.submit_wait(large(&ran), 1h));
    CHECK(!pool.drain() && ran == 36 && pool.stats().bytes_in_use == 0);
}

/* Who could wait for ever, or in vain, is told why. */
static void does_not_wait()
{
    numapool::pool pool(small_memory());
    std::atomic<int> ran{0};
    auto task = std::make_unique<large>(&ran);
    std::atomic<bool> told{false};
    {
        check::blocker hold(pool);
        CHECK(!pool.submit(large(&ran)));
        numapool::group group(pool);
        CHECK(!group.cancel());
        CHECK(group.submit(std::move(*task)) == numapool::errc::cancelled);
        CHECK(group.submit_wait(std::move(*task)) == numapool::errc::cancelled);
        CHECK(pool.submit(std::move(*task), numapool::task_options().on_node(9)) ==
              numapool::errc::invalid);
        hold.let_go();
    }
    void *all = nullptr;
    while (all == nullptr) { /* until the first one has gone */
        all = numapool_alloc(pool.native(), 0, 600u << 10);
    }
    CHECK(!pool.submit([&pool, &task, &told] {
        told = pool.submit_wait(std::move(*task)) == numapool::errc::deadlock;
    }));
    CHECK(!pool.drain() && told && ran == 12);
    CHECK(pool.submit_wait(std::move(*task)) == numapool::errc::closed);
    CHECK(task->number != nullptr);
    numapool_free(pool.native(), all);
}

/* A child of fork() has no pool, for callables of every size. */
static void forked()
{
    numapool::pool pool(small_memory());
    std::atomic<int> ran{0};
    large task(&ran);
    pid_t child = fork();
    if (child == 0) {
        CHECK(pool.submit([&ran] { ran++; }) == numapool::errc::forked);
        CHECK(pool.submit(std::move(task)) == numapool::errc::forked);
        CHECK(pool.submit_wait(std::move(task)) == numapool::errc::forked);
        _exit(task.number != nullptr ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(!pool.submit(std::move(task)) && !pool.drain() && ran == 12);
}

int main()
{
    CASE(never_fits);
    CASE(waits_for_memory);
    CASE(does_not_wait);
    CASE(forked);
    CHECK(counted::alive == 0);
    return 0;
}
