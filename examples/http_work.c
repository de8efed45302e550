/* What a request asks for, the task that does it, and what it is answered. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "http_common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS_MAX 60000
#define CPU_US_MAX 10000000
#define KB_MAX 65536
#define PAGE 4096
#define CANCEL_LOOK_MS                                                                             \
    50 /* a task that sleeps or computes looks so often whether it is still wanted */

static const char plain[] = "text/plain; charset=utf-8";

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void add(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

const char *http_status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}

const char *http_date(void)
{
    static _Thread_local char text[32];
    static _Thread_local time_t of;
    time_t now = time(NULL);
    if (now != of) {
        struct tm parts;
        (void)gmtime_r(&now, &parts);
        (void)strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        of = now;
    }
    return text;
}

void http_answer_text(struct http_answer *answer, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(answer->text, sizeof answer->text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        length = 0;
    } else if ((size_t)length >= sizeof answer->text) {
        length = (int)sizeof answer->text - 1;
        answer->text[length - 1] = '\n';
    }
    answer->status = status;
    answer->type = plain;
    answer->body = answer->text;
    answer->body_bytes = (size_t)length;
    answer->retry_after_s = 0;
}

void http_answer_fini(struct http_answer *answer)
{
    if (answer->body != answer->text) {
        free(answer->body);
    }
    answer->body = NULL;
}

void http_count(struct http_request *request, bool answered)
{
    struct http_counts *counts = &request->server->counts;
    if (!answered) {
        add(&counts->aborted);
    } else if (request->answer.status == 200) {
        add(&counts->ok);
    } else if (request->answer.status == 503) {
        add(&counts->unavailable);
    } else {
        add(&counts->invalid);
    }
}

/* -------------------------------------------------------------------------------- refusing */

/* One word for scripts and graphs; numapool_strerror() is for people. */
static const char *reason(int result)
{
    switch (result) {
    case NUMAPOOL_E_FULL:
        return "full";
    case NUMAPOOL_E_SHED:
        return "shed";
    case NUMAPOOL_E_DEADLINE:
        return "deadline";
    case NUMAPOOL_E_CANCELLED:
        return "cancelled";
    case NUMAPOOL_E_CLOSED:
        return "closed";
    case NUMAPOOL_E_NOMEM:
        return "memory";
    default:
        return "error";
    }
}

/* Nothing was done for it: it may be sent again, here or to another server, whatever it asks for. */
static void answer_unavailable(struct http_answer *answer, const char *what, int result,
                               uint64_t again_ns)
{
    /* Retry-After has whole seconds. The pool's hint is finer: the body has it. */
    http_answer_text(answer, 503, "%s: %s: %s\nretry after %" PRIu64 " ms\n", what, reason(result),
                     numapool_strerror(result), (again_ns + 999999) / 1000000);
    answer->retry_after_s = (unsigned)((again_ns + 999999999) / 1000000000);
    if (answer->retry_after_s == 0) {
        answer->retry_after_s = 1;
    }
}

/* It had begun, and part of it may be done: no 503, which load balancers send to the next server. */
static void answer_not_finished(struct http_answer *answer, int result)
{
    http_answer_text(answer, result == NUMAPOOL_E_DEADLINE ? 504 : 500, "not finished: %s: %s\n",
                     reason(result), numapool_strerror(result));
}

/* --------------------------------------------------------------------------------- the task */

static void sleep_until(uint64_t end_ns)
{
    for (uint64_t now = now_ns(); now < end_ns && !numapool_cancelled(); now = now_ns()) {
        uint64_t slice = end_ns - now;
        if (slice > CANCEL_LOOK_MS * UINT64_C(1000000)) {
            slice = CANCEL_LOOK_MS * UINT64_C(1000000);
        }
        struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)slice};
        (void)nanosleep(&pause, NULL);
    }
}

static void compute_until(uint64_t end_ns)
{
    volatile uint64_t word = 88172645463325252u;
    while (now_ns() < end_ns && !numapool_cancelled()) {
        for (int i = 0; i < 1000; i++) {
            word = word * 6364136223846793005u + 1442695040888963407u;
        }
    }
}

/* A sleeping request keeps its worker: the budget (workers_max) is how many are served at once. */
static void serve(void *arg)
{
    struct http_request *request = arg;
    const struct http_work *work = &request->work;
    struct http_counts *counts = &request->server->counts;
    size_t bytes = work->kb * 1024;
    char *memory = numapool_scratch(bytes); /* was reserved with the task, and goes with it */
    if (memory == NULL && bytes > 0) {
        add(&counts->dropped);
        answer_unavailable(&request->answer, "not served", NUMAPOOL_E_NOMEM, 0);
        request->done(request);
        return;
    }
    for (size_t at = 0; at < bytes; at += PAGE) {
        memory[at] = (char)(at / PAGE);
    }
    if (work->ms > 0) {
        sleep_until(now_ns() + work->ms * UINT64_C(1000000));
    }
    if (work->cpu_us > 0) {
        compute_until(now_ns() + work->cpu_us * UINT64_C(1000));
    }
    size_t wrong = 0;
    for (size_t at = 0; at < bytes; at += PAGE) {
        wrong += memory[at] != (char)(at / PAGE);
    }
    if (numapool_cancelled()) {
        /* A group that was cancelled, else the deadline: nobody waits for this answer any more. */
        add(&counts->dropped);
        answer_not_finished(&request->answer, atomic_load(&request->server->draining)
                                                  ? NUMAPOOL_E_CANCELLED
                                                  : NUMAPOOL_E_DEADLINE);
    } else if (wrong > 0) {
        http_answer_text(&request->answer, 500, "%zu pages changed while the task slept\n", wrong);
    } else {
        add(&counts->run);
        http_answer_text(&request->answer, 200, "ms=%u cpu_us=%u kb=%zu node=%d\n", work->ms,
                         work->cpu_us, work->kb, numapool_current_node());
    }
    request->done(request); /* from here on the request may be gone */
}

static void drop(void *arg, int why)
{
    struct http_request *request = arg;
    add(&request->server->counts.dropped);
    answer_unavailable(&request->answer, "accepted, but not served", why, 0);
    request->done(request);
}

bool http_submit(struct http_request *request)
{
    struct http_server *server = request->server;
    struct numapool_task task = {
        .run = serve,
        .drop = drop,
        .arg = request,
        .group = server->group,
        .bytes = request->work.kb * 1024,
        .node = (int)request->node,
        .flags = NUMAPOOL_ON_NODE,
    };
    if (server->options.deadline_ms > 0) {
        task.deadline_ns = now_ns() + server->options.deadline_ms * UINT64_C(1000000);
    }
    int result = numapool_submit_task(server->pool, &task);
    if (result == NUMAPOOL_OK) {
        add(&server->counts.accepted);
        return true;
    }
    size_t kind = (size_t)-result;
    add(&server->counts.refused[kind < HTTP_RESULTS ? kind : 0]);
    answer_unavailable(&request->answer, "refused", result, numapool_retry_after_ns(server->pool));
    return false;
}

/* ------------------------------------------------------------------------------ the target */

/* A number of digits only. False: `answer` says what is wrong. */
static bool read_number(struct http_answer *answer, const char *name, const char *value,
                        size_t length, unsigned long max, unsigned long *number)
{
    int shown = length > 32 ? 32 : (int)length;
    bool digits = length > 0;
    for (size_t i = 0; i < length; i++) {
        digits = digits && value[i] >= '0' && value[i] <= '9';
    }
    if (!digits) {
        http_answer_text(answer, 400, "%s: '%.*s' is not a whole number\n", name, shown, value);
        return false;
    }
    errno = 0;
    unsigned long parsed = strtoul(value, NULL, 10);
    if (errno != 0 || parsed > max) {
        http_answer_text(answer, 400, "%s: %.*s is more than %lu\n", name, shown, value, max);
        return false;
    }
    *number = parsed;
    return true;
}

/* More than all of the pool's memory would be refused for ever with "retry". */
static unsigned long kb_max(const struct http_server *server)
{
    uint64_t kb = server->memory_bytes / 1024;
    return kb > 0 && kb < KB_MAX ? (unsigned long)kb : KB_MAX;
}

/* "ms=5&kb=64": each name at most once. */
static bool read_query(struct http_request *request, const char *query)
{
    const struct {
        const char *name;
        unsigned long max;
    } known[] = {{"ms", MS_MAX}, {"cpu_us", CPU_US_MAX}, {"kb", kb_max(request->server)}};
    unsigned long values[3] = {0};
    unsigned seen = 0;
    while (*query != '\0') {
        size_t length = strcspn(query, "&");
        size_t name_length = strcspn(query, "=&");
        size_t which = 0;
        while (which < 3 && (strlen(known[which].name) != name_length ||
                             strncmp(known[which].name, query, name_length) != 0)) {
            which++;
        }
        if (which == 3) {
            http_answer_text(&request->answer, 400, "'%.*s' is not known; ms, cpu_us and kb are\n",
                             name_length > 32 ? 32 : (int)name_length, query);
            return false;
        }
        if (seen & 1u << which) {
            http_answer_text(&request->answer, 400, "%s is there twice\n", known[which].name);
            return false;
        }
        seen |= 1u << which;
        size_t value_at = name_length < length ? name_length + 1 : length;
        if (!read_number(&request->answer, known[which].name, query + value_at, length - value_at,
                         known[which].max, &values[which])) {
            return false;
        }
        query += length + (query[length] == '&');
    }
    request->work = (struct http_work){
        .ms = (unsigned)values[0], .cpu_us = (unsigned)values[1], .kb = values[2]};
    return true;
}

/* The pool's statistics, and behind them the server's. */
static void answer_metrics(struct http_request *request)
{
    struct http_server *server = request->server;
    const struct http_counts *counts = &server->counts;
    struct http_answer *answer = &request->answer;
    size_t pool_bytes = 16384;
    const size_t own_bytes = 2048;
    char *body = NULL;
    int result = NUMAPOOL_E_INVALID; /* too short */
    while (result == NUMAPOOL_E_INVALID) {
        size_t needed = 0;
        free(body);
        body = malloc(pool_bytes + own_bytes);
        result = body == NULL ? NUMAPOOL_E_NOMEM
                              : numapool_stats_prometheus(server->pool, body, pool_bytes, &needed);
        pool_bytes = needed + 256; /* the next time there may be more digits */
    }
    if (result != NUMAPOOL_OK) {
        free(body);
        http_answer_text(answer, 500, "no statistics: %s\n", numapool_strerror(result));
        return;
    }
    size_t used = strlen(body);
    int length =
        snprintf(body + used, own_bytes,
                 "# HELP http_requests_total Requests read\n"
                 "# TYPE http_requests_total counter\n"
                 "http_requests_total %" PRIu64 "\n"
                 "# HELP http_answers_total Answers given whole, by status\n"
                 "# TYPE http_answers_total counter\n"
                 "http_answers_total{status=\"200\"} %" PRIu64 "\n"
                 "http_answers_total{status=\"503\"} %" PRIu64 "\n"
                 "http_answers_total{status=\"other\"} %" PRIu64 "\n"
                 "# HELP http_aborted_total Requests whose client went away before the answer\n"
                 "# TYPE http_aborted_total counter\n"
                 "http_aborted_total %" PRIu64 "\n"
                 "# HELP http_connections Connections open\n"
                 "# TYPE http_connections gauge\n"
                 "http_connections %" PRIu64 "\n",
                 get(&counts->requests), get(&counts->ok), get(&counts->unavailable),
                 get(&counts->invalid), get(&counts->aborted), get(&counts->open));
    answer->status = 200;
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    answer->body = body;
    answer->body_bytes = used + (size_t)(length > 0 ? length : 0);
    answer->retry_after_s = 0;
}

bool http_route(struct http_request *request, const char *target)
{
    size_t path = strcspn(target, "?");
    const char *query = target + path + (target[path] == '?');
#define IS(text) (path == sizeof(text) - 1 && strncmp(target, text, path) == 0)
    if (IS("/work")) {
        return read_query(request, query);
    }
    if (IS("/metrics")) {
        answer_metrics(request);
    } else if (IS("/healthz")) {
        if (atomic_load(&request->server->draining)) {
            http_answer_text(&request->answer, 503, "draining\n");
        } else {
            http_answer_text(&request->answer, 200, "ok\n");
        }
    } else {
        http_answer_text(&request->answer, 404,
                         "/work?ms=&cpu_us=&kb=, /metrics and /healthz are here\n");
    }
#undef IS
    return false;
}
