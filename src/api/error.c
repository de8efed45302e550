/* Codes to sentences, from one list; errors of calls; the log. */
#include "api/error.h"

#include "flow/pool.h"

#include <stdarg.h>
#include <stdio.h>

#define RESULTS(X)                                                                                 \
    X(NUMAPOOL_OK, "success")                                                                      \
    X(NUMAPOOL_E_FULL, "no room at home or anywhere the task may go; try later")                   \
    X(NUMAPOOL_E_SHED, "refused to keep the queue short; try later")                               \
    X(NUMAPOOL_E_DEADLINE, "the task would miss its deadline, or it has passed")                   \
    X(NUMAPOOL_E_TIMEDOUT, "the call ran out of time")                                             \
    X(NUMAPOOL_E_CANCELLED, "the task's group was cancelled")                                      \
    X(NUMAPOOL_E_CLOSED, "the pool takes no new tasks: it is draining or being destroyed")         \
    X(NUMAPOOL_E_INVALID, "an argument is not valid")                                              \
    X(NUMAPOOL_E_DEADLOCK, "a worker of the pool would wait for itself")                           \
    X(NUMAPOOL_E_FORKED, "the pool belongs to the parent process; create one after fork()")        \
    X(NUMAPOOL_E_CONFIG, "the configuration has mistakes; struct numapool_error lists them")       \
    X(NUMAPOOL_E_NOMEM, "out of memory")                                                           \
    X(NUMAPOOL_E_SYSTEM, "a system call failed; struct numapool_error has its errno")

const char *numapool_strerror(int result)
{
    switch (result) {
#define RESULT_CASE(code, text)                                                                    \
    case code:                                                                                     \
        return text;
        RESULTS(RESULT_CASE)
    default:
        return "unknown result code";
    }
}

#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

const char *numapool_version(void)
{
    return TEXT_OF(NUMAPOOL_VERSION_MAJOR) "." TEXT_OF(NUMAPOOL_VERSION_MINOR) "." TEXT_OF(
        NUMAPOOL_VERSION_PATCH);
}

int npi_error(struct numapool_error *error, int code, int sys_errno, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        error->sys_errno = sys_errno;
        error->count = 1;
    }
    return code;
}

void npi_pool_log(const struct numapool *pool, int level, const char *format, ...)
{
    char line[1024];
    numapool_log_fn *log = pool->config.log;
    if (log == NULL && level > NUMAPOOL_LOG_WARNING) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (log != NULL) {
        log(pool->config.log_arg, level, line);
    } else {
        (void)fprintf(stderr, "numapool: %s: %s\n",
                      level == NUMAPOOL_LOG_ERROR ? "error" : "warning", line);
    }
}
