/*
 * numapool in C++: the pool and its groups. Include <numapool/numapool.hpp>.
 */
#ifndef NUMAPOOL_CPP_POOL_HPP
#define NUMAPOOL_CPP_POOL_HPP

#include <numapool/cpp/task.hpp>

namespace numapool_cpp
{

/**
 * A pool. Move only; a moved-from one is empty, and calls on an empty one say errc::invalid.
 *
 * Threads  every function may be called from any thread, also inside a task, but for the life of the
 *          object itself: construction, move, close() and destruction beside nobody else's use.
 */
class pool
{
  public:
    /** No pool: for create(), and for a member that is filled later. */
    explicit pool(std::nullptr_t) noexcept
    {
    }

#if NUMAPOOL_CPP_EXCEPTIONS
    /** Defaults and environment, as numapool_create() with NULL. Throws numapool::error. */
    pool()
    {
        build(nullptr);
    }

    /** By these settings alone. Throws numapool::error. */
    explicit pool(const config &settings)
    {
        build(&settings);
    }
#endif

    /**
     * The same without exceptions. settings NULL = defaults and environment; details may be NULL.
     * The pool that was in `made` is closed first, and stays when it cannot be.
     */
    [[nodiscard]] static std::error_code create(pool &made, const config *settings,
                                                struct numapool_error *details = nullptr) noexcept
    {
        if (std::error_code code = made.close()) {
            return code;
        }
        return code_of(made.open(settings, details));
    }

    pool(pool &&other) noexcept : state_(std::exchange(other.state_, nullptr))
    {
    }

    pool &operator=(pool &&other) noexcept
    {
        if (this != &other) {
            (void)close();
            state_ = std::exchange(other.state_, nullptr);
        }
        return *this;
    }

    /** close(). Where that is refused the pool lives on, without an owner. */
    ~pool()
    {
        (void)close();
    }

    /**
     * numapool_destroy(): drops what waits, waits for what runs. An exception that nobody has fetched
     * is gone with it. The pool is empty afterwards, unless it says so:
     *
     * Returns  OK, errc::deadlock (from a task of this pool; no effect), errc::forked (no effect)
     */
    std::error_code close() noexcept
    {
        if (state_ == nullptr) {
            return {};
        }
        int result = numapool_destroy(state_->handle);
        if (result == NUMAPOOL_OK) {
            for (detail::outcome *one = state_->left.load(); one != nullptr;) {
                delete std::exchange(one, one->next);
            }
            state_->handle = nullptr;
            std::exchange(state_, nullptr)->let_go();
        }
        return code_of(result);
    }

    /**
     * Hands a callable to the pool; it is called without arguments, its result is discarded.
     *
     * Owns     an rvalue is moved, an lvalue copied, into a place that is the pool's. Accepted: it is
     *          destroyed there, exactly once, when it has run or was dropped, before its group or
     *          drain() can tell that it ended. Refused: an rvalue is as before, as if never passed
     * Heap     never. Up to 48 bytes, aligned to 16, lie in memory made with the pool, larger ones in
     *          memory of numapool_alloc(), which memory_bytes bounds
     * Throws   nothing, but what copying an lvalue throws
     * Returns  as numapool_submit_task(); errc::full also when there is no memory for a larger one, which
     *          refused_bytes counts
     */
    template <class F>
    [[nodiscard]] std::error_code
    submit(F &&f, const task_options &options = {}) noexcept(detail::is_kept_by_noexcept<F>)
    {
        return detail::submit(state_, loose(), nullptr, std::forward<F>(f), options,
                              detail::at_once{});
    }

    /**
     * The same, where that says full or shed again and again until the timeout: numapool_submit_wait().
     * Waits likewise until a larger callable finds memory.
     */
    template <class F>
    [[nodiscard]] std::error_code
    submit_wait(F &&f, nanoseconds timeout = forever,
                const task_options &options = {}) noexcept(detail::is_kept_by_noexcept<F>)
    {
        return detail::submit(state_, loose(), nullptr, std::forward<F>(f), options,
                              detail::patiently{detail::ns_of(timeout)});
    }

    /** numapool_retry_after_ns(). */
    nanoseconds retry_after() const noexcept
    {
        std::uint64_t ns = numapool_retry_after_ns(native());
        return nanoseconds(static_cast<nanoseconds::rep>(ns));
    }

    /**
     * numapool_drain(). After OK it throws the first exception of a task without a group, once;
     * exception() before it, if it must not.
     */
    std::error_code drain(nanoseconds timeout = forever)
    {
        int result = numapool_drain(native(), detail::ns_of(timeout));
        if (result == NUMAPOOL_OK) {
            state_->loose.rethrow_first();
        }
        return code_of(result);
    }

#if NUMAPOOL_CPP_EXCEPTIONS
    /** The first exception of a task without a group since this was last asked, or null. */
    std::exception_ptr exception() noexcept
    {
        return state_ != nullptr ? state_->loose.take_exception() : nullptr;
    }

    /** How many tasks without a group have thrown. */
    std::size_t threw() const noexcept
    {
        return state_ != nullptr ? state_->loose.threw() : 0;
    }
#endif

    /** numapool_set_budget(). */
    std::error_code set_budget(unsigned workers_max) noexcept
    {
        return code_of(numapool_set_budget(native(), workers_max));
    }

    /** numapool_stats(); all zero for an empty pool. */
    struct numapool_stats stats() const noexcept
    {
        struct numapool_stats all = {};
        all.struct_size = sizeof all;
        if (numapool_stats(native(), &all) != NUMAPOOL_OK) {
            all = {}; /* untouched, but for its size */
        }
        return all;
    }

    /** numapool_shard_stats(); all zero for a shard that does not exist. */
    struct numapool_shard_stats shard_stats(std::size_t shard) const noexcept
    {
        struct numapool_shard_stats one = {};
        one.struct_size = sizeof one;
        if (numapool_shard_stats(native(), shard, &one) != NUMAPOOL_OK) {
            one = {}; /* untouched, but for its size */
        }
        return one;
    }

    std::size_t node_count() const noexcept
    {
        return numapool_node_count(native());
    }

    std::size_t shard_count() const noexcept
    {
        return numapool_shard_count(native());
    }

    /** The C pool, for every call that has no name here. It stays this object's; NULL when empty. */
    numapool *native() const noexcept
    {
        return state_ != nullptr ? state_->handle : nullptr;
    }

    explicit operator bool() const noexcept
    {
        return state_ != nullptr;
    }

  private:
    friend class group;

    detail::outcome *loose() noexcept
    {
        return state_ != nullptr ? &state_->loose : nullptr;
    }

    int open(const config *settings, struct numapool_error *details) noexcept
    {
        std::unique_ptr<detail::pool_state> made(new (std::nothrow) detail::pool_state);
        if (made == nullptr) {
            return NUMAPOOL_E_NOMEM;
        }
        numapool *handle = nullptr;
        int result =
            numapool_create(&handle, settings != nullptr ? &settings->raw() : nullptr, details);
        if (result != NUMAPOOL_OK) {
            return result;
        }
        made->handle = handle;
        /* As many as may wait and run; a quarter more run beside tasks that wait for something. A raised
           budget may need more: those are made of the pool's memory. */
        struct numapool_stats now = {};
        now.struct_size = sizeof now;
        result = numapool_stats(handle, &now);
        std::uint64_t running = now.quota + now.quota / 4 + numapool_shard_count(handle);
        if (result == NUMAPOOL_OK &&
            !made->records.make(static_cast<std::size_t>(now.queue_capacity + running))) {
            result = NUMAPOOL_E_NOMEM;
        }
        if (result != NUMAPOOL_OK) {
            (void)numapool_destroy(handle);
            return result;
        }
        state_ = made.release();
        return NUMAPOOL_OK;
    }

#if NUMAPOOL_CPP_EXCEPTIONS
    void build(const config *settings)
    {
        struct numapool_error details = {};
        int result = open(settings, &details);
        if (result != NUMAPOOL_OK) {
            throw error(result, details);
        }
    }
#endif

    detail::pool_state *state_ = nullptr;
};

/**
 * A set of tasks of one pool to wait for or cancel. Move only. When its pool has ended all of its members
 * have, too, and it takes no more (errc::closed).
 *
 * Threads  as a pool: its life beside nobody else's use; nor may the pool end meanwhile
 *
 * The destructor waits for all members, since as a rule they refer to what lives beside the group. Where
 * it must not wait (inside a drop; and where wait() says errc::deadlock: inside a member of the group, or
 * in a task when no worker is left to run the members) it cancels the group and goes: then nothing they refer to may go with it.
 */
class group
{
  public:
#if NUMAPOOL_CPP_EXCEPTIONS
    /** Throws numapool::error: errc::invalid for an empty pool, errc::no_memory, errc::forked. */
    explicit group(pool &of)
    {
        int result = open(of);
        if (result != NUMAPOOL_OK) {
            throw error(result, "no group");
        }
    }
#endif

    /** No group: for create(). */
    explicit group(std::nullptr_t) noexcept
    {
    }

    /** The same without exceptions. */
    [[nodiscard]] static std::error_code create(group &made, pool &of) noexcept
    {
        made.close();
        return code_of(made.open(of));
    }

    group(group &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)),
          outcome_(std::exchange(other.outcome_, nullptr))
    {
    }

    group &operator=(group &&other) noexcept
    {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, nullptr);
            outcome_ = std::exchange(other.outcome_, nullptr);
        }
        return *this;
    }

    ~group()
    {
        close();
    }

    /** As pool::submit(), as a member. errc::cancelled after cancel(). */
    template <class F>
    [[nodiscard]] std::error_code
    submit(F &&f, const task_options &options = {}) noexcept(detail::is_kept_by_noexcept<F>)
    {
        return detail::submit(state(), outcome_, handle_, std::forward<F>(f), options,
                              detail::at_once{});
    }

    /** As pool::submit_wait(), as a member. */
    template <class F>
    [[nodiscard]] std::error_code
    submit_wait(F &&f, nanoseconds timeout = forever,
                const task_options &options = {}) noexcept(detail::is_kept_by_noexcept<F>)
    {
        return detail::submit(state(), outcome_, handle_, std::forward<F>(f), options,
                              detail::patiently{detail::ns_of(timeout)});
    }

    /**
     * Waits until every member has run or was dropped: numapool_group_wait(). After OK it throws the
     * first exception of a member, once; the group may be used again.
     */
    std::error_code wait(nanoseconds timeout = forever)
    {
        int result = has_pool()           ? numapool_group_wait(handle_, detail::ns_of(timeout))
                     : handle_ != nullptr ? NUMAPOOL_OK
                                          : NUMAPOOL_E_INVALID;
        if (result == NUMAPOOL_OK) {
            outcome_->rethrow_first();
        }
        return code_of(result);
    }

    /** numapool_group_cancel(): members that wait are dropped with errc::cancelled. */
    std::error_code cancel() noexcept
    {
        return code_of(numapool_group_cancel(handle_));
    }

#if NUMAPOOL_CPP_EXCEPTIONS
    /** The first exception of a member since this was last asked, or null. */
    std::exception_ptr exception() noexcept
    {
        return outcome_ != nullptr ? outcome_->take_exception() : nullptr;
    }

    /** How many members have thrown. */
    std::size_t threw() const noexcept
    {
        return outcome_ != nullptr ? outcome_->threw() : 0;
    }
#endif

    /** How many members were accepted but did not run, and why the first of them did not. */
    std::size_t dropped() const noexcept
    {
        return outcome_ != nullptr ? outcome_->dropped() : 0;
    }

    std::error_code why() const noexcept
    {
        return code_of(outcome_ != nullptr ? outcome_->why() : NUMAPOOL_OK);
    }

    numapool_group *native() const noexcept
    {
        return handle_;
    }

    explicit operator bool() const noexcept
    {
        return handle_ != nullptr;
    }

  private:
    bool has_pool() const noexcept
    {
        return handle_ != nullptr && outcome_->pool->handle != nullptr;
    }

    detail::pool_state *state() const noexcept
    {
        return outcome_ != nullptr ? outcome_->pool : nullptr;
    }

    int open(pool &of) noexcept
    {
        if (of.state_ == nullptr) {
            return NUMAPOOL_E_INVALID;
        }
        std::unique_ptr<detail::outcome> made(new (std::nothrow) detail::outcome);
        if (made == nullptr) {
            return NUMAPOOL_E_NOMEM;
        }
        made->pool = of.state_;
        int result = numapool_group_create(&handle_, of.native());
        if (result == NUMAPOOL_OK) {
            outcome_ = made.release();
            of.state_->hold();
        }
        return result;
    }

    void close() noexcept
    {
        if (handle_ == nullptr) {
            return;
        }
        std::uint64_t patience_ns = detail::in_drop::depth() == 0 ? UINT64_MAX : 0;
        int result = has_pool() ? numapool_group_wait(handle_, patience_ns) : NUMAPOOL_OK;
        if (result != NUMAPOOL_OK) {
            (void)numapool_group_cancel(handle_);
        }
        (void)numapool_group_destroy(std::exchange(handle_, nullptr));
        detail::outcome *ended = std::exchange(outcome_, nullptr);
        detail::pool_state *pool = ended->pool;
        if (result == NUMAPOOL_OK) {
            delete ended;
        } else {
            leave(ended);
        }
        pool->let_go();
    }

    /* Members still point to it: it goes with the pool. */
    static void leave(detail::outcome *ended) noexcept
    {
        std::atomic<detail::outcome *> &left = ended->pool->left;
        ended->next = left.load(std::memory_order_relaxed);
        while (!left.compare_exchange_weak(ended->next, ended, std::memory_order_release,
                                           std::memory_order_relaxed)) {
        }
    }

    numapool_group *handle_ = nullptr;
    detail::outcome *outcome_ = nullptr;
};

} // namespace numapool_cpp

#endif
