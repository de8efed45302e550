/*
 * numapool in C++: a callable as a task of the C interface, and its two ends.
 * Nothing here but task_options and on_drop() is for users; include <numapool/numapool.hpp>.
 */
#ifndef NUMAPOOL_CPP_TASK_HPP
#define NUMAPOOL_CPP_TASK_HPP

#include <numapool/cpp/config.hpp>
#include <numapool/cpp/record.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <type_traits>

namespace numapool_cpp
{

/**
 * Everything about a task but its function and its group: the fields of struct numapool_task, documented
 * there, each as a function that returns the object.
 *
 *     pool.submit(work, numapool::task_options().deadline(now + 20ms).critical());
 */
class task_options
{
  public:
    task_options &deadline(std::chrono::steady_clock::time_point when) noexcept
    {
        auto ns = std::chrono::duration_cast<nanoseconds>(when.time_since_epoch()).count();
        raw_.deadline_ns = ns > 0 ? static_cast<std::uint64_t>(ns) : 1;
        return *this;
    }

    task_options &near_data(const void *memory) noexcept
    {
        raw_.near_data = memory;
        return *this;
    }

    task_options &bytes(std::size_t reserved) noexcept
    {
        raw_.bytes = reserved;
        return *this;
    }

    task_options &on_node(int node) noexcept
    {
        raw_.node = node;
        raw_.flags |= NUMAPOOL_ON_NODE;
        return *this;
    }

    task_options &strict_node() noexcept
    {
        raw_.flags |= NUMAPOOL_STRICT_NODE;
        return *this;
    }

    task_options &drop_ok() noexcept
    {
        raw_.flags |= NUMAPOOL_DROP_OK;
        return *this;
    }

    task_options &critical() noexcept
    {
        raw_.task_class = NUMAPOOL_CRITICAL;
        return *this;
    }

    task_options &sheddable() noexcept
    {
        raw_.task_class = NUMAPOOL_SHEDDABLE;
        return *this;
    }

    const struct numapool_task &raw() const noexcept
    {
        return raw_;
    }

  private:
    struct numapool_task raw_ = {};
};

/* What on_drop() makes. */
template <class Run, class Drop> struct with_drop {
    Run run;
    Drop drop;

    void operator()() noexcept(std::is_nothrow_invocable_v<Run>)
    {
        static_cast<void>(std::move(run)());
    }

    void dropped(std::error_code why) noexcept(std::is_nothrow_invocable_v<Drop, std::error_code>)
    {
        std::move(drop)(why);
    }
};

/**
 * A callable that is told when it was accepted but will not run: on_drop(run, drop) calls
 * drop(std::error_code) with why. Both are kept in the callable, so their sizes add up.
 */
template <class Run, class Drop> auto on_drop(Run &&run, Drop &&drop)
{
    return with_drop<std::decay_t<Run>, std::decay_t<Drop>>{std::forward<Run>(run),
                                                            std::forward<Drop>(drop)};
}

namespace detail
{

template <class F, class = void> struct is_told_of_drop : std::false_type {
};
template <class F>
struct is_told_of_drop<F, std::void_t<decltype(std::declval<F &>().dropped(std::error_code()))>>
    : std::true_type {
};

/* Runs what may throw, inside a task: C must never be unwound into. But for a thread that ends itself
   (pthread_exit, cancellation): that unwinding is the C library's own, has no exception of C++, and has to
   go on. (Not by catching abi::__forced_unwind: there is no such object, which a sanitizer minds.) */
template <class Body> void guard(outcome *owner, Body &&body)
{
#if NUMAPOOL_CPP_EXCEPTIONS
    try {
        body();
    } catch (...) {
        std::exception_ptr what = std::current_exception();
        if (what == nullptr) {
            throw;
        }
        owner->threw_one(std::move(what));
    }
#else
    (void)owner;
    body();
#endif
}

/* A callable in a record. */
template <class F> struct boxed {
    static constexpr bool is_inline =
        sizeof(F) <= record::inline_bytes && alignof(F) <= record::inline_align;

    /* NULL: neither a free record nor memory of the pool for one. */
    static record *take(pool_state *state, outcome *owner) noexcept
    {
        record *box = is_inline ? state->records.take() : nullptr;
        void *allocated = nullptr;
        if (box == nullptr) {
            allocated = numapool_alloc(state->handle, -1, bytes_needed());
            if (allocated == nullptr) {
                return nullptr;
            }
            box = static_cast<record *>(allocated);
        }
        box->owner = owner;
        box->allocated = allocated;
        return box;
    }

    static void give(record *box) noexcept
    {
        pool_state *state = box->owner->pool;
        if (box->allocated != nullptr) {
            numapool_free(state->handle, box->allocated);
        } else {
            state->records.give(box);
        }
    }

    static void *place(record *box) noexcept
    {
        void *at = box->storage;
        if constexpr (!is_inline) {
            std::size_t room = bytes_needed() - offsetof(record, storage);
            at = std::align(alignof(F), sizeof(F), at, room);
        }
        return at;
    }

    static F &callable(record *box) noexcept
    {
        return *std::launder(static_cast<F *>(place(box)));
    }

    /* Destroys the callable and gives the record back, also when the thread ends inside it. */
    struct ending {
        record *box;

        ~ending()
        {
            callable(box).~F();
            give(box);
        }
    };

    static void run(void *arg)
    {
        record *box = static_cast<record *>(arg);
        ending end{box};
        guard(box->owner, [box] { static_cast<void>(std::move(callable(box))()); });
    }

    static void drop(void *arg, int why)
    {
        record *box = static_cast<record *>(arg);
        in_drop now;
        ending end{box};
        box->owner->dropped_one(why);
        if constexpr (is_told_of_drop<F>::value) {
            guard(box->owner, [box, why] { callable(box).dropped(code_of(why)); });
        }
    }

  private:
    static constexpr std::size_t bytes_needed() noexcept
    {
        std::size_t slack =
            alignof(F) > record::inline_align ? alignof(F) - record::inline_align : 0;
        std::size_t bytes = offsetof(record, storage) + slack + sizeof(F);
        return bytes > sizeof(record) ? bytes : sizeof(record);
    }
};

/* A callable that is a pointer or less and has nothing to end travels as the argument itself. */
template <class F> struct bare {
    static constexpr bool fits = sizeof(F) <= sizeof(void *) && alignof(F) <= alignof(void *) &&
                                 std::is_trivially_copyable_v<F> &&
                                 std::is_trivially_destructible_v<F> &&
                                 std::is_nothrow_invocable_v<F> && !is_told_of_drop<F>::value;

    static void *pack(const F &f) noexcept
    {
        void *arg = nullptr;
        std::memcpy(&arg, std::addressof(f), sizeof(F));
        return arg;
    }

    static void run(void *arg)
    {
        alignas(F) unsigned char copy[sizeof(F)];
        std::memcpy(copy, &arg, sizeof(F));
        static_cast<void>(std::move(*std::launder(reinterpret_cast<F *>(copy)))());
    }
};

/* Making the pool's own of what was passed cannot throw. */
template <class F>
inline constexpr bool is_kept_by_noexcept = std::is_nothrow_constructible_v<std::decay_t<F>, F &&>;

/* The callable goes back to where it came from: its caller keeps it after a refusal. */
template <class F> void hand_back(F &to, F &from) noexcept
{
    if constexpr (std::is_trivially_copyable_v<F>) {
        (void)to; /* moving it has left it as it was */
        (void)from;
    } else if constexpr (std::is_nothrow_move_assignable_v<F>) {
        to = std::move(from);
    } else { /* closures have no assignment */
        to.~F();
        ::new (static_cast<void *>(std::addressof(to))) F(std::move(from));
    }
}

/* How a struct numapool_task is handed in: by one try, or by as many as the time is for. */
struct at_once {
    int operator()(numapool *to, const struct numapool_task *task) const noexcept
    {
        return numapool_submit_task(to, task);
    }
};
struct patiently {
    std::uint64_t left_ns;

    int operator()(numapool *to, const struct numapool_task *task) const noexcept
    {
        return numapool_submit_wait(to, task, left_ns);
    }
};

/*
 * There was no room for a callable: a task is handed in that asks for more bytes than a pool can have. It is
 * refused, counted and has its hint as any task whose bytes find no room, and who may not submit here (a
 * child of fork(), a task that would wait for its own pool, a member of a cancelled group) is told so.
 */
template <class Submit>
int ask_in_vain(pool_state *state, struct numapool_task task, const Submit &call) noexcept
{
    task.run = [](void *) {};
    task.bytes = SIZE_MAX;
    return call(state->handle, &task);
}

template <class Box>
record *take_later(pool_state *state, outcome *, const struct numapool_task &task,
                   const at_once &call, int &why) noexcept
{
    why = ask_in_vain(state, task, call);
    return nullptr;
}

/* Nobody is woken when memory comes back: looks again in the steps of numapool_submit_wait(). */
template <class Box>
record *take_later(pool_state *state, outcome *owner, const struct numapool_task &task,
                   patiently &call, int &why) noexcept
{
    using clock = std::chrono::steady_clock;
    constexpr std::uint64_t step_ns_max = 2000000;
    std::uint64_t step_ns = 50000;
    clock::time_point before = clock::now();
    for (;;) {
        why = ask_in_vain(state, task, patiently{std::min(step_ns, call.left_ns)});
        if (why != NUMAPOOL_E_TIMEDOUT) {
            return nullptr;
        }
        clock::time_point now = clock::now();
        std::uint64_t waited_ns = ns_of(std::chrono::duration_cast<nanoseconds>(now - before));
        before = now;
        bool over = call.left_ns != UINT64_MAX && waited_ns >= call.left_ns;
        if (call.left_ns != UINT64_MAX) {
            call.left_ns = over ? 1 : call.left_ns - waited_ns; /* 0 would ask for another code */
        }
        record *box = Box::take(state, owner);
        if (box != nullptr || over) {
            return box;
        }
        step_ns = std::min(step_ns * 2, step_ns_max);
    }
}

/*
 * Submits one callable, at_once or patiently. Throws only what copying an lvalue throws, and has no effect
 * then.
 */
template <class F, class Submit>
std::error_code submit(pool_state *state, outcome *owner, numapool_group *group, F &&f,
                       const task_options &options, Submit call) noexcept(is_kept_by_noexcept<F>)
{
    using callable = std::decay_t<F>;
    constexpr bool is_moved = !std::is_lvalue_reference_v<F> && !std::is_const_v<F>;
    static_assert(std::is_invocable_v<callable>, "a task is called without arguments");
    static_assert(std::is_nothrow_destructible_v<callable>,
                  "a callable's destructor must not throw");
    static_assert(
        !is_moved || std::is_nothrow_move_constructible_v<callable>,
        "a callable that is handed over must not throw when it is moved: a refused one is "
        "moved back; pass an lvalue to have it copied");
    if (state == nullptr) {
        return errc::invalid;
    }
    if (state->handle == nullptr) {
        return errc::closed; /* a group that has outlived its pool */
    }
    struct numapool_task task = options.raw();
    if constexpr (bare<callable>::fits) {
        if (group == nullptr) {
            task.run = bare<callable>::run;
            task.arg = bare<callable>::pack(f);
            return code_of(call(state->handle, &task));
        }
    }
    using box_of = boxed<callable>;
    task.group = group;
    record *box = box_of::take(state, owner);
    int result = NUMAPOOL_E_FULL;
    if (box == nullptr) {
        box = take_later<box_of>(state, owner, task, call, result);
    }
    if (box == nullptr) {
        return code_of(result);
    }
#if NUMAPOOL_CPP_EXCEPTIONS
    if constexpr (!std::is_nothrow_constructible_v<callable, F &&>) {
        try {
            ::new (box_of::place(box)) callable(std::forward<F>(f));
        } catch (...) {
            box_of::give(box);
            throw;
        }
    } else
#endif
    {
        ::new (box_of::place(box)) callable(std::forward<F>(f));
    }
    task.run = box_of::run;
    task.arg = box;
    task.drop = box_of::drop;
    result = call(state->handle, &task);
    if (result != NUMAPOOL_OK) {
        if constexpr (is_moved) {
            hand_back(f, box_of::callable(box));
        }
        typename box_of::ending end{box};
    }
    return code_of(result);
}

} // namespace detail
} // namespace numapool_cpp

#endif
