/*
 * numapool in C++: results as std::error_code, and the one exception this header throws by itself.
 * Include <numapool/numapool.hpp>.
 */
#ifndef NUMAPOOL_CPP_ERROR_HPP
#define NUMAPOOL_CPP_ERROR_HPP

#include <numapool/numapool.h>

#include <string>
#include <system_error>

/* With -fno-exceptions nothing is thrown or caught; what would throw is left out. */
#if defined(__cpp_exceptions) && __cpp_exceptions >= 199711L
#define NUMAPOOL_CPP_EXCEPTIONS 1
#else
#define NUMAPOOL_CPP_EXCEPTIONS 0
#endif

namespace numapool_cpp
{

/** enum numapool_result without OK, which is a std::error_code that is false. */
enum class errc {
    full = NUMAPOOL_E_FULL,
    shed = NUMAPOOL_E_SHED,
    deadline = NUMAPOOL_E_DEADLINE,
    timed_out = NUMAPOOL_E_TIMEDOUT,
    cancelled = NUMAPOOL_E_CANCELLED,
    closed = NUMAPOOL_E_CLOSED,
    invalid = NUMAPOOL_E_INVALID,
    deadlock = NUMAPOOL_E_DEADLOCK,
    forked = NUMAPOOL_E_FORKED,
    config = NUMAPOOL_E_CONFIG,
    no_memory = NUMAPOOL_E_NOMEM,
    system = NUMAPOOL_E_SYSTEM,
};

namespace detail
{
class category_type : public std::error_category
{
  public:
    const char *name() const noexcept override
    {
        return "numapool";
    }

    std::string message(int result) const override
    {
        return numapool_strerror(result);
    }

    /* So that `code == std::errc::timed_out` is true for our own. */
    std::error_condition default_error_condition(int result) const noexcept override
    {
        switch (result) {
        case NUMAPOOL_E_FULL:
        case NUMAPOOL_E_SHED:
            return std::errc::resource_unavailable_try_again;
        case NUMAPOOL_E_DEADLINE:
        case NUMAPOOL_E_TIMEDOUT:
            return std::errc::timed_out;
        case NUMAPOOL_E_CANCELLED:
            return std::errc::operation_canceled;
        case NUMAPOOL_E_INVALID:
        case NUMAPOOL_E_CONFIG:
            return std::errc::invalid_argument;
        case NUMAPOOL_E_DEADLOCK:
            return std::errc::resource_deadlock_would_occur;
        case NUMAPOOL_E_CLOSED:
        case NUMAPOOL_E_FORKED:
            return std::errc::operation_not_permitted;
        case NUMAPOOL_E_NOMEM:
            return std::errc::not_enough_memory;
        default:
            return std::error_condition(result, *this);
        }
    }
};
} // namespace detail

/** The category of our codes; its message is numapool_strerror()'s. */
inline const std::error_category &category() noexcept
{
    static const detail::category_type one;
    return one;
}

/** What a function of numapool.h returned. */
inline std::error_code code_of(int result) noexcept
{
    return result == NUMAPOOL_OK ? std::error_code() : std::error_code(result, category());
}

inline std::error_code make_error_code(errc code) noexcept
{
    return std::error_code(static_cast<int>(code), category());
}

/** A refusal that may be none a little later: see pool::retry_after(). */
inline bool try_later(const std::error_code &code) noexcept
{
    return code.category() == category() && code.value() <= NUMAPOOL_E_FULL &&
           code.value() >= NUMAPOOL_E_TIMEDOUT;
}

#if NUMAPOOL_CPP_EXCEPTIONS
/** Thrown by constructors. what() is the text of struct numapool_error, all mistakes of a configuration. */
class error : public std::system_error
{
  public:
    error(int result, const char *text) : std::system_error(code_of(result), text)
    {
    }

    error(int result, const struct numapool_error &details)
        : std::system_error(code_of(result), details.text), details_(details)
    {
    }

    const struct numapool_error &details() const noexcept
    {
        return details_;
    }

  private:
    struct numapool_error details_ = {};
};
#endif

} // namespace numapool_cpp

template <> struct std::is_error_code_enum<numapool_cpp::errc> : std::true_type {
};

#endif
