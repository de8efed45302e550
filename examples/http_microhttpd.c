/*
 * An HTTP/1.1 server on GNU libmicrohttpd that does its work in a numapool: /work?ms=&cpu_us=&kb=,
 * /metrics, /healthz.
 *
 * An acceptor is a daemon of libmicrohttpd with one thread and a listening socket of its own; there is
 * one for each node, on that node's CPUs, and its requests become tasks of that node. While a task runs its
 * connection is suspended, so that the thread serves others; the worker that finishes it resumes it.
 *
 * The protocol is libmicrohttpd's: what is not HTTP it answers itself, and that is not in our account.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "http_common.h"

#include <microhttpd.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTION_BYTES ((size_t)16 << 10) /* bounds the head of a request */
#define SWALLOW_BYTES (1 << 20) /* of a body that is too long, before the connection is closed */
#define HURRY_MS 1000           /* for the last answers after a second signal */

/* What a connection is doing, as far as the end of the server wants to know. */
struct connection {
    struct connection *next;
    struct connection **back;
    int fd;
    bool busy;   /* between the first line of a request and the end of its answer */
    bool served; /* had a request */
};

struct acceptor {
    struct http_server *server;
    unsigned index;
    unsigned node;
    int listener;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock; /* of the list; taken briefly, a few times in a request */
    struct connection *connections;
};

struct request {
    struct http_request common; /* first: a task's argument is the request, too */
    struct acceptor *acceptor;
    struct MHD_Connection *connection;
    enum { NEW, READ, SUBMITTED } stage;
    _Atomic int arrived; /* of the two that have to meet: suspended, and done */
    size_t body_bytes;
    size_t target_bytes;
    char target[HTTP_TARGET_MAX + 1];
};

/* ------------------------------------------------------------------------------- requests */

static void set_busy(struct acceptor *acceptor, struct MHD_Connection *handle, bool busy)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info != NULL ? info->socket_context : NULL;
    if (connection != NULL) {
        (void)pthread_mutex_lock(&acceptor->lock);
        connection->busy = busy;
        connection->served = true;
        (void)pthread_mutex_unlock(&acceptor->lock);
    }
}

/* The first line of a request has been read. What is returned comes back as *context. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct acceptor *acceptor = arg;
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        return NULL;
    }
    request->acceptor = acceptor;
    request->connection = connection;
    request->common.server = acceptor->server;
    request->common.node = acceptor->node;
    request->target_bytes = strlen(target);
    if (request->target_bytes <= HTTP_TARGET_MAX) {
        memcpy(request->target, target, request->target_bytes + 1);
    }
    set_busy(acceptor, connection, true);
    return request;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct request *request = *context;
    *context = NULL;
    if (request == NULL) {
        return;
    }
    if (request->stage != NEW) {
        http_count(&request->common, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
        http_answer_fini(&request->common.answer);
    }
    set_busy(arg, connection, false);
    free(request);
}

/*
 * The task may be done before its connection is suspended. Whoever comes second, the thread that
 * suspended or the worker, resumes.
 */
static void meet(struct request *request)
{
    struct MHD_Connection *connection = request->connection;
    if (atomic_fetch_add(&request->arrived, 1) == 1) {
        MHD_resume_connection(connection); /* from here on the request may be gone */
    }
}

static void task_done(struct http_request *common)
{
    meet((struct request *)common);
}

/* The length that the head tells, 0 if it tells none; the daemon has refused what is no number. */
static unsigned long long told_bytes(struct MHD_Connection *connection)
{
    const char *text =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static enum MHD_Result send_answer(struct request *request)
{
    struct http_answer *answer = &request->common.answer;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body_bytes, answer->body, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    if (answer->retry_after_s > 0) {
        char seconds[16];
        (void)snprintf(seconds, sizeof seconds, "%u", answer->retry_after_s);
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    if (answer->status == 405) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    if (atomic_load_explicit(&request->common.server->draining, memory_order_relaxed)) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    if (result == MHD_YES) {
        result = MHD_queue_response(request->connection, (unsigned)answer->status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* Called when the head is complete, for each part of a body, at its end, and when it is resumed. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **context)
{
    struct acceptor *acceptor = arg;
    struct request *request = *context;
    (void)url;
    (void)version;
    (void)upload;
    if (request == NULL) {
        return MHD_NO; /* no memory: the connection is closed */
    }
    struct http_counts *counts = &acceptor->server->counts;
    switch (request->stage) {
    case NEW:
        request->stage = READ;
        atomic_fetch_add_explicit(&counts->requests, 1, memory_order_relaxed);
        request->common.done = task_done;
        /* An answer now, before the body was read, is the connection's last. */
        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
            http_answer_text(&request->common.answer, 405, "only GET and HEAD are served\n");
            return send_answer(request);
        }
        if (request->target_bytes > HTTP_TARGET_MAX) {
            http_answer_text(&request->common.answer, 414, "a target of more than 1024 bytes\n");
            return send_answer(request);
        }
        if (told_bytes(connection) > HTTP_BODY_MAX) {
            http_answer_text(&request->common.answer, 413, "a body of more than 64 kB\n");
            return send_answer(request);
        }
        return MHD_YES;
    case READ:
        if (*upload_bytes > 0) { /* in the middle of a body there cannot be an answer */
            request->body_bytes += *upload_bytes;
            *upload_bytes = 0;
            return request->body_bytes <= SWALLOW_BYTES ? MHD_YES : MHD_NO;
        }
        if (request->body_bytes > HTTP_BODY_MAX) {
            http_answer_text(&request->common.answer, 413, "a body of more than 64 kB\n");
            return send_answer(request);
        }
        if (!http_route(&request->common, request->target)) {
            return send_answer(request);
        }
        request->stage = SUBMITTED;
        if (!http_submit(&request->common)) {
            return send_answer(request);
        }
        MHD_suspend_connection(request->connection);
        meet(request);
        return MHD_YES;
    default:
        return send_answer(request);
    }
}

/* ---------------------------------------------------------------------------- connections */

static void on_connection(void *arg, struct MHD_Connection *handle, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct acceptor *acceptor = arg;
    struct http_counts *counts = &acceptor->server->counts;
    struct connection *connection = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
        connection = info != NULL ? calloc(1, sizeof *connection) : NULL;
        atomic_fetch_add_explicit(&counts->connections, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counts->open, 1, memory_order_relaxed);
        *context = connection;
        if (connection == NULL) {
            return; /* served all the same; at the end it is not told */
        }
        connection->fd = info->connect_fd;
        (void)pthread_mutex_lock(&acceptor->lock);
        connection->next = acceptor->connections;
        connection->back = &acceptor->connections;
        if (connection->next != NULL) {
            connection->next->back = &connection->next;
        }
        acceptor->connections = connection;
        (void)pthread_mutex_unlock(&acceptor->lock);
        return;
    }
    atomic_fetch_sub_explicit(&counts->open, 1, memory_order_relaxed);
    if (connection != NULL) {
        (void)pthread_mutex_lock(&acceptor->lock); /* its descriptor is closed after this call */
        *connection->back = connection->next;
        if (connection->next != NULL) {
            connection->next->back = connection->back;
        }
        (void)pthread_mutex_unlock(&acceptor->lock);
        free(connection);
    }
}

/* Starts in a thread of its own, since the daemon's thread inherits where that may run. */
static void *start(void *arg)
{
    struct acceptor *acceptor = arg;
    const struct http_options *options = &acceptor->server->options;
    acceptor->node = http_place_acceptor(acceptor->server, acceptor->index);
    unsigned count = http_acceptors(acceptor->server);
    acceptor->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL,
        on_request, acceptor, MHD_OPTION_LISTEN_SOCKET, acceptor->listener,
        MHD_OPTION_CONNECTION_LIMIT, (options->connections + count - 1) / count,
        MHD_OPTION_CONNECTION_TIMEOUT, options->timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_target, acceptor,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, acceptor, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, acceptor, MHD_OPTION_END);
    return NULL;
}

/* --------------------------------------------------------------------------------- the end */

static void stop_accepting(struct acceptor *acceptor)
{
    /* Who the kernel has said yes to is served, all others are refused by it from here on. */
    (void)MHD_quiesce_daemon(acceptor->daemon);
    for (int fd = http_accept(acceptor->listener); fd >= 0; fd = http_accept(acceptor->listener)) {
        struct sockaddr_in peer = {.sin_family = AF_INET};
        socklen_t length = sizeof peer;
        (void)getpeername(fd, (struct sockaddr *)&peer, &length);
        /* Closes it if it fails. */
        (void)MHD_add_connection(acceptor->daemon, fd, (const struct sockaddr *)&peer, length);
    }
    (void)close(acceptor->listener);
}

/*
 * Connections without a request: what is there is read and answered, then the daemon sees their end.
 * Returns how many have a request.
 */
static unsigned end_idle(struct acceptor *acceptors, unsigned waited_ms)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < HTTP_ACCEPTORS_MAX && acceptors[i].daemon != NULL; i++) {
        (void)pthread_mutex_lock(&acceptors[i].lock);
        for (struct connection *c = acceptors[i].connections; c != NULL; c = c->next) {
            busy += c->busy;
            if (!c->busy && (c->served || waited_ms >= HTTP_LAST_REQUEST_MS)) {
                (void)shutdown(c->fd, SHUT_RD);
            }
        }
        (void)pthread_mutex_unlock(&acceptors[i].lock);
    }
    return busy;
}

static void look(void *acceptors, unsigned waited_ms)
{
    (void)end_idle(acceptors, waited_ms);
}

/*
 * All tasks are done. Answers may still be on the way, for as long as a client may take; after a second
 * signal, only those of the tasks, and briefly.
 */
static void await_answers(struct http_server *server, struct acceptor *acceptors)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = HTTP_LOOK_MS * 1000000L};
    unsigned waited_ms = 0;
    while (atomic_load(&server->counts.open) > 0) {
        bool hurry = http_in_a_hurry();
        unsigned busy = end_idle(acceptors, waited_ms);
        if (waited_ms >= (hurry ? HURRY_MS : server->options.timeout_s * 1000) ||
            (hurry && busy == 0)) {
            return;
        }
        (void)nanosleep(&pause, NULL);
        waited_ms += HTTP_LOOK_MS;
    }
}

int main(int argc, char **argv)
{
    static struct http_server server;
    static struct acceptor acceptors[HTTP_ACCEPTORS_MAX];
    int listeners[HTTP_ACCEPTORS_MAX];
    if (!http_server_init(
            &server, argc, argv, "http_microhttpd",
            "An HTTP server on libmicrohttpd whose requests are tasks of a numapool.")) {
        return 1;
    }
    unsigned count = http_acceptors(&server);
    if (!http_listen(&server, listeners, count)) {
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        struct acceptor *acceptor = &acceptors[i];
        pthread_t starter;
        acceptor->server = &server;
        acceptor->index = i;
        acceptor->listener = listeners[i];
        (void)pthread_mutex_init(&acceptor->lock, NULL);
        if (pthread_create(&starter, NULL, start, acceptor) == 0) {
            (void)pthread_join(starter, NULL);
        }
        if (acceptor->daemon == NULL) {
            fprintf(stderr, "http_microhttpd: acceptor %u of %u could not be started\n", i, count);
            return 1;
        }
    }
    http_wait_for_end(&server);
    for (unsigned i = 0; i < count; i++) {
        stop_accepting(&acceptors[i]);
    }
    http_drain(&server, look, acceptors);
    await_answers(&server, acceptors);
    for (unsigned i = 0; i < count; i++) {
        MHD_stop_daemon(acceptors[i].daemon);
    }
    return http_server_fini(&server);
}
