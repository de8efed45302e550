/* Facts that a test of the C++ header asserts: the first that is wrong is told with its place, and ends it. */
#ifndef TESTS_CPP_CHECK_HPP
#define TESTS_CPP_CHECK_HPP

#include <numapool/numapool.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#define CHECK(fact)                                                                                \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact);                        \
            std::_Exit(1);                                                                         \
        }                                                                                          \
    } while (0)

#define CASE(name)                                                                                 \
    std::printf("%s\n", #name);                                                                    \
    name()

/* The count of owners of an exception is in the compiled part of libstdc++, whose atomics ThreadSanitizer does
   not see: to it a thread that read what was thrown races with the last owner, which destroys it. */
extern "C" __attribute__((used, visibility("default"))) inline const char *
__tsan_default_suppressions()
{
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}

namespace check
{

inline void until(const std::atomic<bool> &set)
{
    while (!set.load()) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
}

/* One worker that runs one task after the other, and a queue of so many. */
inline numapool::config one_worker(unsigned tasks)
{
    numapool::config settings;
    settings.workers_max(1)
        .workers_min(1)
        .queue_tasks(tasks)
        .queue_delay(numapool::forever)
        .codel(numapool::forever, std::chrono::milliseconds(100))
        .shards(NUMAPOOL_SINGLE)
        .mode(NUMAPOOL_FIXED)
        .memory_bytes(64u << 20);
    return settings;
}

/* Keeps the worker in a task until it is let go. Ends when that task has left it. */
class blocker
{
  public:
    explicit blocker(numapool::pool &pool)
    {
        CHECK(!pool.submit([this] {
            running_ = true;
            until(go_);
            left_ = true;
        }));
        until(running_);
    }

    ~blocker()
    {
        let_go();
        until(left_);
    }

    void let_go()
    {
        go_ = true;
    }

  private:
    std::atomic<bool> running_{false}, go_{false}, left_{false};
};

/* Counts its lives. Copies and moves are lives of their own. */
struct counted {
    static inline std::atomic<int> alive{0}, made{0};

    counted()
    {
        born();
    }
    counted(const counted &)
    {
        born();
    }
    counted(counted &&) noexcept
    {
        born();
    }
    counted &operator=(const counted &) = default;
    counted &operator=(counted &&) noexcept = default;
    ~counted()
    {
        alive--;
    }

  private:
    static void born() noexcept
    {
        alive++;
        made++;
    }
};

} // namespace check

#endif
