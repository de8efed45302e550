/*
 * numapool in C++: node-local memory for containers, and the guard around a wait inside a task.
 * Include <numapool/numapool.hpp>.
 */
#ifndef NUMAPOOL_CPP_MEMORY_HPP
#define NUMAPOOL_CPP_MEMORY_HPP

#include <numapool/cpp/pool.hpp>

#if __has_include(<memory_resource>)
#include <memory_resource>
#endif

namespace numapool_cpp
{

/** numapool_block_begin() for as long as it lives: "this task waits here". Nests. */
class block_guard
{
  public:
    block_guard() noexcept
    {
        numapool_block_begin();
    }

    ~block_guard()
    {
        numapool_block_end();
    }

    block_guard(const block_guard &) = delete;
    block_guard &operator=(const block_guard &) = delete;
};

#if NUMAPOOL_CPP_EXCEPTIONS && defined(__cpp_lib_memory_resource)
/**
 * numapool_alloc() of one node as a resource for std::pmr containers.
 *
 * node     node index; -1 = of the thread that allocates
 * Owns     nothing; it must outlive its containers, and the pool must outlive it
 * Threads  any, at the same time
 * Equal    to any resource of the same pool: what one allocates, the other may free (without RTTI only
 *          to itself)
 * Throws   std::bad_alloc for a bad node, over memory_bytes, in a forked child
 */
class node_resource : public std::pmr::memory_resource
{
  public:
    explicit node_resource(const pool &of, int node = -1) noexcept : pool_(of.native()), node_(node)
    {
    }

    int node() const noexcept
    {
        return node_;
    }

  private:
    static constexpr std::size_t given_align = 16; /* of numapool_alloc() */

    /* Above that the block's own address is kept in front of what is handed out. */
    static bool is_padded(std::size_t align) noexcept
    {
        return align > given_align;
    }

    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        std::size_t room = bytes != 0 ? bytes : 1;
        std::size_t more = is_padded(align) ? align : 0;
        if (room > SIZE_MAX - more) {
            throw std::bad_alloc();
        }
        void *block = numapool_alloc(pool_, node_, room + more);
        if (block == nullptr) {
            throw std::bad_alloc();
        }
        if (!is_padded(align)) {
            return block;
        }
        /* At least given_align further on, so that there is room for the address. */
        std::uintptr_t at = reinterpret_cast<std::uintptr_t>(block);
        std::size_t skip = align - (at & (align - 1));
        char *handed = static_cast<char *>(block) + skip;
        std::memcpy(handed - sizeof block, &block, sizeof block);
        return handed;
    }

    void do_deallocate(void *memory, std::size_t, std::size_t align) override
    {
        void *block = memory;
        if (is_padded(align)) {
            std::memcpy(&block, static_cast<char *>(memory) - sizeof block, sizeof block);
        }
        numapool_free(pool_, block);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
#ifdef __cpp_rtti
        const auto *same = dynamic_cast<const node_resource *>(&other);
        return same != nullptr && same->pool_ == pool_;
#else
        return this == &other;
#endif
    }

    numapool *pool_;
    int node_;
};
#endif

} // namespace numapool_cpp

#endif
