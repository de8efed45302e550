/**
 * numapool for C++17: the whole of numapool.h with owners, callables, exceptions and std types around it.
 * Header only; link what a C program links. numapool.h is the contract: what is said there of pools,
 * tasks, groups and memory holds here, and this header says only what it adds.
 *
 *     #include <numapool/numapool.hpp>
 *
 *     numapool::pool pool;                         // as numapool_create() with NULL
 *     numapool::group group(pool);
 *     std::array<int, 4> squares{};
 *     for (int i = 0; i < 4; i++) {
 *         auto code = group.submit([&squares, i] { squares[i] = i * i; });
 *         if (code)                                // refused: nothing was queued
 *             std::cerr << code.message() << '\n';
 *     }
 *     group.wait();                                // throws what a task threw
 *
 * Names
 *   numapool::pool           a pool: submit, submit_wait, drain, set_budget, stats
 *   numapool::config         its settings
 *   numapool::group          tasks to wait for or cancel
 *   numapool::task_options   deadline, class, node, bytes of a task
 *   numapool::on_drop        a callable that is told when it was dropped
 *   numapool::block_guard    around a wait inside a task
 *   numapool::node_resource  node-local memory for std::pmr containers
 *   numapool::errc, error    results; every code is a std::error_code of numapool::category()
 * `numapool` is the C type of a pool, completed here as a class that holds these names: a namespace could
 * not share its name. `using np = numapool;` shortens it, as for a namespace; the namespace behind
 * it, for using-directives, is numapool_cpp. The functions for use inside a task (numapool_scratch(),
 * numapool_cancelled(), numapool_current_node()) need nothing around them.
 *
 * Refusals are results, not exceptions: a server under load meets them thousands of times a second. A
 * refused callable is still the caller's, untouched, also when it was passed as an rvalue.
 *
 * Exceptions  What a task throws ends at the task's edge and never reaches the library. The first of a
 *   group is thrown again by group::wait(), the first of tasks without a group by pool::drain(), in
 *   the thread that waits; the others are counted. A task that is to return a value to one waiter is a
 *   std::packaged_task, which is a callable like any other: of a dropped one the future says
 *   broken_promise. Inside a task wait for a future under a block_guard. There is no future type here:
 *   it would need a second heap block and its own waiting beside the group's.
 *   A thread that ends itself inside a task (pthread_exit, cancellation) unwinds through the callable,
 *   which is destroyed, and counts as run, as in C.
 *   ThreadSanitizer does not see how libstdc++ counts the owners of an exception, whatever library it
 *   passes through: give it "race:std::__exception_ptr::exception_ptr::_M_release" as a suppression.
 *
 * Where callables live  The C interface carries one pointer. A callable of at most one pointer that can
 *   neither throw nor has anything to destroy travels as that pointer. Every other one of up to 48 bytes,
 *   aligned to at most 16, is moved into one of the records that were made with the pool, as many as
 *   may wait and run at once: 64 bytes each, in pages that are touched when they are first used, taken
 *   and given back by one atomic operation each. So a submit calls neither malloc nor operator new.
 *   numapool_alloc() for each task would do that, too, but its heaps have latches, which a submit would
 *   now and then sleep at, and it counts against memory_bytes, which is meant for the tasks' data. It serves
 *   callables that are larger or aligned to more, and any callable when the records run out after the
 *   budget was raised.
 *
 * Compilers  gcc and clang as C++17 and later, with libstdc++ or libc++. With -fno-exceptions what throws
 *   is left out (constructors: use create(); node_resource), and a task must not throw. One program's
 *   files must agree on -fno-exceptions and -fno-rtti.
 */
#ifndef NUMAPOOL_NUMAPOOL_HPP
#define NUMAPOOL_NUMAPOOL_HPP

#include <numapool/cpp/config.hpp>
#include <numapool/cpp/error.hpp>
#include <numapool/cpp/memory.hpp>
#include <numapool/cpp/pool.hpp>
#include <numapool/cpp/task.hpp>

/** The names of this header. There are no objects of it: a pool of the C interface is opaque. */
struct numapool {
    numapool() = delete;

    using pool = numapool_cpp::pool;
    using config = numapool_cpp::config;
    using group = numapool_cpp::group;
    using task_options = numapool_cpp::task_options;
    using block_guard = numapool_cpp::block_guard;
    using errc = numapool_cpp::errc;
    using nanoseconds = numapool_cpp::nanoseconds;
#if NUMAPOOL_CPP_EXCEPTIONS
    using error = numapool_cpp::error;
#if defined(__cpp_lib_memory_resource)
    using node_resource = numapool_cpp::node_resource;
#endif
#endif

    static constexpr nanoseconds forever = numapool_cpp::forever;

    static const std::error_category &category() noexcept
    {
        return numapool_cpp::category();
    }

    static bool try_later(const std::error_code &code) noexcept
    {
        return numapool_cpp::try_later(code);
    }

    template <class Run, class Drop> static auto on_drop(Run &&run, Drop &&drop)
    {
        return numapool_cpp::on_drop(std::forward<Run>(run), std::forward<Drop>(drop));
    }
};

#endif
