/* node_resource under containers, and block_guard. */
#include "check.hpp"

#include <map>
#include <string>
#include <vector>

using namespace std::chrono_literals;

static numapool::config two_nodes()
{
    numapool::config settings = check::one_worker(64);
    settings.machine("pack:2 [numa] core:1 pu:1").shards(NUMAPOOL_PER_NODE).workers_max(2);
    return settings;
}

static void containers()
{
    numapool::pool pool(two_nodes());
    for (int node = 0; node < 2; node++) {
        numapool::node_resource memory(pool, node);
        CHECK(memory.node() == node);
        std::pmr::vector<int> numbers(&memory);
        for (int i = 0; i < 100000; i++) {
            numbers.push_back(i);
        }
        CHECK(numbers[99999] == 99999 && numapool_node_of(pool.native(), numbers.data()) == node);
        std::pmr::map<int, std::pmr::string> words(&memory);
        for (int i = 0; i < 500; i++) {
            words.emplace(i, std::string(100, (char)('a' + i % 26)));
        }
        CHECK(words.size() == 500 && words[27] == std::pmr::string(100, 'b'));
        CHECK(numapool_node_of(pool.native(), &words[3]) == node);
        CHECK(numapool_node_of(pool.native(), words[3].data()) == node);
        CHECK(pool.stats().bytes_in_use >= 450000);
    }
    CHECK(pool.stats().bytes_in_use == 0);
}

static void alignments()
{
    numapool::pool pool(two_nodes());
    numapool::node_resource memory(pool, 1);
    std::vector<std::pair<void *, std::size_t>> held;
    for (std::size_t align = 1; align <= 65536; align *= 2) {
        for (std::size_t bytes :
             {std::size_t(0), std::size_t(1), std::size_t(40), align, 3 * align}) {
            void *got = memory.allocate(bytes, align);
            CHECK(got != nullptr && reinterpret_cast<std::uintptr_t>(got) % align == 0);
            CHECK(numapool_node_of(pool.native(), got) == 1);
            std::memset(got, 0x5a, bytes);
            held.emplace_back(got, align);
        }
    }
    for (auto [got, align] : held) {
        memory.deallocate(got, 1, align);
    }
    CHECK(pool.stats().bytes_in_use == 0);
}

template <class Body> static bool throws_bad_alloc(Body body)
{
    try {
        body();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void limits()
{
    numapool::config settings = two_nodes();
    settings.memory_bytes(2u << 20);
    numapool::pool pool(settings);
    numapool::node_resource memory(pool, 0), nowhere(pool, 7);
    volatile std::size_t most = SIZE_MAX - 8; /* unknown to the compiler, which would warn */
    CHECK(throws_bad_alloc([&] { (void)memory.allocate(4u << 20, 8); }));
    CHECK(throws_bad_alloc([&] { (void)memory.allocate(most, 64); }));
    CHECK(throws_bad_alloc([&] { (void)nowhere.allocate(16, 8); }));
    std::pmr::vector<char> grows(&memory);
    CHECK(throws_bad_alloc([&] {
        for (;;) {
            grows.resize(grows.size() + 65536);
        }
    }));
    CHECK(!grows.empty() && pool.stats().bytes_in_use <= 2u << 20);
}

static void equal()
{
    numapool::pool pool(two_nodes()), other(two_nodes());
    numapool::node_resource zero(pool, 0), one(pool, 1), elsewhere(other, 0);
    CHECK(zero == one && zero != elsewhere && zero != *std::pmr::new_delete_resource());
    void *from_zero = zero.allocate(100, 64);
    one.deallocate(from_zero, 100, 64);
    CHECK(pool.stats().bytes_in_use == 0);
    /* Equal resources: a move takes the memory along. */
    std::pmr::vector<int> there({1, 2, 3}, &zero);
    const int *data = there.data();
    std::pmr::vector<int> here(&one);
    here = std::move(there);
    CHECK(here.data() == data && here.size() == 3);
}

/* In a task, -1 is the node it runs on; and a task that waits lends its worker. */
static void inside_tasks()
{
    numapool::pool pool(two_nodes());
    numapool::node_resource memory(pool);
    std::atomic<int> right{0};
    numapool::group group(pool);
    for (int node = 0; node < 2; node++) {
        CHECK(!group.submit(
            [&] {
                std::pmr::vector<int> here(10000, 1, &memory);
                right += numapool_node_of(pool.native(), here.data()) == numapool_current_node();
            },
            numapool::task_options().on_node(node).strict_node()));
    }
    CHECK(!group.wait() && right == 2);

    numapool::pool single(check::one_worker(8));
    std::atomic<bool> fed{false}, both{false};
    CHECK(!single.submit([&] {
        numapool::block_guard waits;
        numapool::block_guard nested;
        check::until(fed); /* by the next task: there is one worker */
        both = true;
    }));
    CHECK(!single.submit([&] { fed = true; }));
    CHECK(!single.drain() && both && single.stats().workers_blocked == 0);
    numapool::block_guard outside; /* does nothing */
}

int main()
{
    CASE(containers);
    CASE(alignments);
    CASE(limits);
    CASE(equal);
    CASE(inside_tasks);
    return 0;
}
