/*
 * numapool in C++: where a callable lives between submit and its end, and who learns how it ended.
 * Nothing here is for users; include <numapool/numapool.hpp>, which says why it is built so.
 */
#ifndef NUMAPOOL_CPP_RECORD_HPP
#define NUMAPOOL_CPP_RECORD_HPP

#include <numapool/cpp/error.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <utility>

namespace numapool_cpp::detail
{

struct pool_state;

/*
 * What became of a set of tasks: of a group's members, or of a pool's tasks without a group. Tasks point to
 * it, so it stays where it is when the group object is moved. It lives until the last of them has
 * ended: the waiter frees it after the wait.
 *
 * first is written by the one task that brings `phase` from none to writing, and taken by the one waiter
 * that brings it from set to taking.
 */
class outcome
{
  public:
    void dropped_one(int why) noexcept
    {
        int none = 0;
        (void)why_.compare_exchange_strong(none, why, std::memory_order_relaxed);
        (void)dropped_.fetch_add(1, std::memory_order_relaxed);
    }

    std::size_t dropped() const noexcept
    {
        return dropped_.load(std::memory_order_relaxed);
    }

    int why() const noexcept
    {
        return why_.load(std::memory_order_relaxed);
    }

    std::size_t threw() const noexcept
    {
        return threw_.load(std::memory_order_relaxed);
    }

#if NUMAPOOL_CPP_EXCEPTIONS
    void threw_one(std::exception_ptr what) noexcept
    {
        int none = phase_none;
        if (phase_.compare_exchange_strong(none, phase_writing, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
            first_ = std::move(what);
            phase_.store(phase_set, std::memory_order_release);
        }
        (void)threw_.fetch_add(1, std::memory_order_relaxed);
    }

    std::exception_ptr take_exception() noexcept
    {
        int set = phase_set;
        if (!phase_.compare_exchange_strong(set, phase_taking, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
            return nullptr;
        }
        std::exception_ptr taken = std::exchange(first_, nullptr);
        phase_.store(phase_none, std::memory_order_release);
        return taken;
    }

    void rethrow_first()
    {
        if (std::exception_ptr taken = take_exception()) {
            std::rethrow_exception(std::move(taken));
        }
    }
#else
    void rethrow_first() noexcept
    {
    }
#endif

    pool_state *pool = nullptr;
    outcome *next = nullptr; /* of those that could not be waited for */

  private:
    enum phase : int { phase_none, phase_writing, phase_set, phase_taking };

    std::atomic<std::size_t> dropped_{0}, threw_{0};
    std::atomic<int> why_{0};
    std::atomic<int> phase_{phase_none};
#if NUMAPOOL_CPP_EXCEPTIONS
    std::exception_ptr first_;
#endif
};

/* One accepted callable. */
struct record {
    static constexpr std::size_t inline_bytes = 48;
    static constexpr std::size_t inline_align = 16;

    outcome *owner;
    void *allocated; /* from numapool_alloc(), NULL in the slab */
    alignas(inline_align) unsigned char storage[inline_bytes];
};
static_assert(sizeof(record) == 64, "a cache line each");

/*
 * Records made once, with the pool: blocks of 64, each a page, and a word per block whose bits say which are
 * free. A block is entered at the place where the thread found a free record last, so a thread has its
 * own block as a rule, and the pages of it lie where that thread touched them first.
 *
 *   word   written by                            why this order
 *   free   takers (compare-and-swap), givers     release by give, acquire by take: the callable that
 *          (fetch_or)                            was there is destroyed before the next is made
 *
 * Takers do not wait for one another: a failed swap means that somebody else got a record or gave one.
 */
class slab
{
  public:
    slab() noexcept = default;
    slab(const slab &) = delete;
    slab &operator=(const slab &) = delete;

    ~slab()
    {
        delete[] words_;
        ::operator delete(records_, std::align_val_t(page));
    }

    /* False: out of memory. */
    bool make(std::size_t count) noexcept
    {
        count_ = (count + per_block - 1) / per_block;
        words_ = new (std::nothrow) word[count_];
        records_ = static_cast<record *>(::operator new(count_ *per_block * sizeof(record),
                                                        std::align_val_t(page), std::nothrow));
        return words_ != nullptr && records_ != nullptr;
    }

    record *take() noexcept
    {
        std::size_t at = (cursor() - 1) % count_;
        for (std::size_t turn = 0; turn < count_; turn++) {
            std::uint64_t free = words_[at].free.load(std::memory_order_relaxed);
            while (free != 0) {
                std::uint64_t lowest = free & (0 - free);
                if (words_[at].free.compare_exchange_weak(free, free & ~lowest,
                                                          std::memory_order_acquire,
                                                          std::memory_order_relaxed)) {
                    cursor() = at + 1;
                    return &records_[at * per_block + index_of(lowest)];
                }
            }
            at = at + 1 < count_ ? at + 1 : 0;
        }
        return nullptr;
    }

    void give(record *back) noexcept
    {
        std::size_t index = static_cast<std::size_t>(back - records_);
        (void)words_[index / per_block].free.fetch_or(std::uint64_t(1) << index % per_block,
                                                      std::memory_order_release);
    }

  private:
    static constexpr std::size_t per_block = 64;
    static constexpr std::size_t page = per_block * sizeof(record);

    struct alignas(64) word {
        std::atomic<std::uint64_t> free{UINT64_MAX};
    };

    static std::size_t index_of(std::uint64_t bit) noexcept
    {
#if defined(__GNUC__)
        return static_cast<std::size_t>(__builtin_ctzll(bit));
#else
        std::size_t index = 0;
        for (; bit > 1; bit >>= 1) {
            index++;
        }
        return index;
#endif
    }

    /* Block + 1; one for all pools, since it is a hint. Threads begin apart, by the address of this. */
    static std::size_t &cursor() noexcept
    {
        static thread_local std::size_t at = 0;
        if (at == 0) {
            at = static_cast<std::size_t>((reinterpret_cast<std::uintptr_t>(&at) >> 6) *
                                              UINT64_C(0x9e3779b97f4a7c15) >>
                                          40) |
                 1;
        }
        return at;
    }

    word *words_ = nullptr;
    record *records_ = nullptr;
    std::size_t count_ = 0;
};

/* The calling thread is inside a drop, which must not wait; the library itself knows it of workers only. */
class in_drop
{
  public:
    in_drop() noexcept
    {
        depth()++;
    }
    ~in_drop()
    {
        depth()--;
    }
    in_drop(const in_drop &) = delete;
    in_drop &operator=(const in_drop &) = delete;

    static int &depth() noexcept
    {
        static thread_local int drops = 0;
        return drops;
    }
};

/*
 * What a pool's tasks and groups need until the last of them has ended; does not move when the pool object
 * does. The pool holds it, and each group, so that a group that outlives its pool knows that it is gone.
 */
struct pool_state {
    pool_state() noexcept
    {
        loose.pool = this;
    }

    void hold() noexcept
    {
        (void)holders.fetch_add(1, std::memory_order_relaxed);
    }

    void let_go() noexcept
    {
        if (holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    numapool *handle = nullptr; /* NULL again once the pool has ended */
    slab records;
    outcome loose;                        /* of tasks without a group */
    std::atomic<outcome *> left{nullptr}; /* of groups that ended before their members */
    std::atomic<std::size_t> holders{1};
};

} // namespace numapool_cpp::detail

#endif
