/*
 * numapool in C++: struct numapool_config as a builder that owns what the struct points to.
 * Include <numapool/numapool.hpp>.
 */
#ifndef NUMAPOOL_CPP_CONFIG_HPP
#define NUMAPOOL_CPP_CONFIG_HPP

#include <numapool/cpp/error.hpp>

#include <chrono>
#include <cstdint>
#include <utility>

namespace numapool_cpp
{

using nanoseconds = std::chrono::nanoseconds;

/** "Without a bound" wherever a time is taken: NUMAPOOL_OFF, or a wait without a limit. */
inline constexpr nanoseconds forever = (nanoseconds::max)();

namespace detail
{
/* Times that have passed are 0: look once. */
inline std::uint64_t ns_of(nanoseconds time) noexcept
{
    return time == forever    ? UINT64_MAX
           : time.count() < 0 ? 0
                              : static_cast<std::uint64_t>(time.count());
}
} // namespace detail

/**
 * What can be chosen about a pool: each field of struct numapool_config, documented there, as a function
 * of its name that returns the object. What is not set has its default. Move only.
 *
 *     numapool::config settings;
 *     if (auto code = settings.load("/etc/server.conf", &details))
 *         ...                                    // details.text: every mistake with file and line
 *     settings.workers_max(200).queue_delay(50ms);
 *
 * The last call to set a field wins. A moved-from object has all defaults again.
 */
class config
{
  public:
    config() noexcept
    {
        numapool_config_init(&raw_);
    }

    ~config()
    {
        numapool_config_fini(&raw_);
    }

    config(config &&other) noexcept : config()
    {
        take(other);
    }

    config &operator=(config &&other) noexcept
    {
        if (this != &other) {
            numapool_config_fini(&raw_);
            take(other);
        }
        return *this;
    }

    config(const config &) = delete;
    config &operator=(const config &) = delete;

    /** numapool_config_load(). details may be NULL. */
    [[nodiscard]] std::error_code load(const char *path,
                                       struct numapool_error *details = nullptr) noexcept
    {
        return code_of(numapool_config_load(&raw_, path, details));
    }

    /** numapool_config_env(). */
    [[nodiscard]] std::error_code env(struct numapool_error *details = nullptr) noexcept
    {
        return code_of(numapool_config_env(&raw_, details));
    }

    /** numapool_config_dump(). */
    [[nodiscard]] std::error_code dump(int fd) const noexcept
    {
        return code_of(numapool_config_dump(&raw_, fd));
    }

    config &workers_max(unsigned tasks) noexcept
    {
        raw_.workers_max = tasks;
        return *this;
    }

    config &workers_min(unsigned threads) noexcept
    {
        raw_.workers_min = threads;
        return *this;
    }

    config &queue_tasks(std::uint64_t tasks) noexcept
    {
        raw_.queue_tasks = tasks;
        return *this;
    }

    config &queue_delay(nanoseconds time) noexcept
    {
        raw_.queue_delay_ns = detail::ns_of(time);
        return *this;
    }

    config &memory_bytes(std::uint64_t bytes) noexcept
    {
        raw_.memory_bytes = bytes;
        return *this;
    }

    config &idle_exit(nanoseconds time) noexcept
    {
        raw_.idle_exit_ns = detail::ns_of(time);
        return *this;
    }

    config &spin(nanoseconds time) noexcept
    {
        raw_.spin_ns = detail::ns_of(time);
        return *this;
    }

    config &tick(nanoseconds time) noexcept
    {
        raw_.tick_ns = detail::ns_of(time);
        return *this;
    }

    config &latency_bias(double share) noexcept
    {
        raw_.latency_bias = share;
        return *this;
    }

    config &codel(nanoseconds target, nanoseconds interval) noexcept
    {
        raw_.codel_target_ns = detail::ns_of(target);
        raw_.codel_interval_ns = detail::ns_of(interval);
        return *this;
    }

    config &watchdog(nanoseconds time) noexcept
    {
        raw_.watchdog_ns = detail::ns_of(time);
        return *this;
    }

    config &shards(enum numapool_shards what) noexcept
    {
        raw_.shards = what;
        return *this;
    }

    config &pinning(enum numapool_pinning where) noexcept
    {
        raw_.pinning = where;
        return *this;
    }

    config &smt(enum numapool_smt which) noexcept
    {
        raw_.smt = which;
        return *this;
    }

    config &mode(enum numapool_mode who) noexcept
    {
        raw_.mode = who;
        return *this;
    }

    /** The text is kept here. An empty one is this machine. */
    config &machine(std::string text) noexcept
    {
        machine_ = std::move(text);
        raw_.machine = machine_.empty() ? nullptr : machine_.c_str();
        return *this;
    }

    /** The text is kept here. An empty one is the default. */
    config &name(std::string text) noexcept
    {
        name_ = std::move(text);
        raw_.name = name_.empty() ? nullptr : name_.c_str();
        return *this;
    }

    config &stack_bytes(std::size_t bytes) noexcept
    {
        raw_.stack_bytes = bytes;
        return *this;
    }

    /** Must outlive the pool, and must not throw. */
    config &log(numapool_log_fn *hook, void *arg) noexcept
    {
        raw_.log = hook;
        raw_.log_arg = arg;
        return *this;
    }

    /** The C struct, valid while this object is neither moved nor changed. */
    const struct numapool_config &raw() const noexcept
    {
        return raw_;
    }

  private:
    /* Short texts live inside the string, so they move with it. */
    void take(config &other) noexcept
    {
        bool own_machine = other.raw_.machine == other.machine_.c_str();
        bool own_name = other.raw_.name == other.name_.c_str();
        raw_ = other.raw_;
        machine_ = std::move(other.machine_);
        name_ = std::move(other.name_);
        if (own_machine) {
            raw_.machine = machine_.c_str();
        }
        if (own_name) {
            raw_.name = name_.c_str();
        }
        numapool_config_init(&other.raw_); /* what it pointed to is ours */
    }

    struct numapool_config raw_;
    std::string machine_, name_;
};

} // namespace numapool_cpp

#endif
