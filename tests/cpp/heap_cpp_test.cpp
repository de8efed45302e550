/* No heap: not one call of malloc or operator new in the process while callables are submitted, refused,
   run and dropped. */
#include "check.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)

static std::atomic<bool> watched{false};
static std::atomic<int> calls{0}, news{0};

static void note()
{
    if (watched.load(std::memory_order_relaxed)) {
        calls++;
    }
}

/* The C library's own, behind its names: whatever asks for memory comes through here. */
extern "C" {
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

void *malloc(size_t bytes)
{
    note();
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes)
{
    note();
    return __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes)
{
    note();
    return __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t align, size_t bytes)
{
    note();
    return __libc_memalign(align, bytes);
}
int posix_memalign(void **memory, size_t align, size_t bytes)
{
    note();
    *memory = __libc_memalign(align, bytes);
    return *memory != nullptr ? 0 : ENOMEM;
}
}

void *operator new(size_t bytes)
{
    news += watched.load(std::memory_order_relaxed);
    void *memory = malloc(bytes);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}
/* gcc inlines one of the pair and takes the other for a stranger. */
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif
void operator delete(void *memory) noexcept
{
    free(memory);
}
void operator delete(void *memory, size_t) noexcept
{
    free(memory);
}

/* That the counting counts. */
static void counts()
{
    watched = true;
    auto number = std::make_unique<std::array<int, 100>>();
    watched = false;
    CHECK(number != nullptr && news == 1 && calls == 1);
    calls = news = 0;
}

template <size_t bytes> struct payload {
    std::atomic<int> *ran;
    unsigned char more[bytes - sizeof(void *)];

    payload(std::atomic<int> *count) noexcept : ran(count)
    {
    }
    ~payload() /* not trivial, so that it is destroyed by the pool */
    {
    }
    payload(payload &&other) noexcept : ran(other.ran)
    {
    }
    void operator()()
    {
        (*ran)++;
    }
};

/* A machine by its text: of the real one the control thread reads once a second what the control group
   allows, with the C library's means. */
static numapool::config here()
{
    numapool::config settings = check::one_worker(64);
    settings.machine("pack:1 [numa] core:2 pu:1");
    return settings;
}

template <class Make> static void submit_many(numapool::pool &pool, Make make)
{
    int accepted = 0, refused = 0;
    std::atomic<int> ran{0};
    struct numapool_stats before = pool.stats();
    watched = true;
    for (int i = 0; i < 20000; i++) {
        if (pool.submit(make(&ran))) {
            refused++;
        } else {
            accepted++;
        }
    }
    while (ran < accepted) {
        std::this_thread::yield();
    }
    watched = false;
    struct numapool_stats after = pool.stats();
    CHECK(accepted + refused == 20000 && accepted > 0);
    CHECK(after.accepted - before.accepted == static_cast<std::uint64_t>(accepted));
    CHECK(calls == 0 && news == 0);
}

static void submits()
{
    numapool::pool pool(here());
    /* Everything that is made at the first task or thread has been made. */
    for (int i = 0; i < 100; i++) {
        std::atomic<int> once{0};
        CHECK(!pool.submit_wait(payload<48>(&once)));
        while (once == 0) {
            std::this_thread::yield();
        }
    }
    submit_many(pool, [](std::atomic<int> *ran) { return [ran]() noexcept { (*ran)++; }; });
    submit_many(pool, [](std::atomic<int> *ran) { return [ran] { (*ran)++; }; });
    submit_many(pool, [](std::atomic<int> *ran) { return payload<16>(ran); });
    submit_many(pool, [](std::atomic<int> *ran) { return payload<48>(ran); });
    submit_many(pool, [](std::atomic<int> *ran) { return payload<56>(ran); });
    submit_many(pool, [](std::atomic<int> *ran) { return payload<1000>(ran); });
}

static void drops_and_waits()
{
    numapool::pool pool(here());
    numapool::group group(pool);
    std::atomic<int> ran{0};
    check::blocker hold(pool);
    watched = true;
    for (int i = 0; i < 32; i++) {
        CHECK(!group.submit(payload<48>(&ran)));
    }
    CHECK(pool.stats().bytes_in_use == 0); /* nor did they take the pool's memory */
    CHECK(!group.cancel());
    hold.let_go();
    CHECK(!group.wait());
    watched = false;
    CHECK(group.dropped() == 32 && ran == 0 && calls == 0 && news == 0);
}

int main()
{
    CASE(counts);
    CASE(submits);
    CASE(drops_and_waits);
    return 0;
}

#else

int main()
{
    std::puts("skipped: malloc is the sanitizer's, or not glibc's");
    return 77;
}

#endif
