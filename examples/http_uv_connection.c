/*
 * Connections of http_uv.
 *
 * A connection has one request at a time. While it is served nothing is read, so what a client sends
 * ahead waits in the connection's buffer (PIPELINE_BYTES) and then in the kernel's, and slows the client.
 *
 *     IDLE ──first byte──▶ READING ──whole request──▶ BUSY ──answer──▶ WRITING ──▶ IDLE
 *      │                      │ cannot be served         (a task)         │ last answer
 *      ▼ timeout, end         └──────────────────────────────────────────▶├─▶ LINGERING ──▶ CLOSED
 *
 * LINGERING: our half is shut, and what the client still sends is thrown away, since to close a socket
 * with unread bytes makes the kernel throw away the answer that is on its way.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "http_uv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 1000
#define LINGER_BYTES (1 << 20)

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer);
static void advance(struct connection *connection);

static void set_deadline(struct connection *connection, uint64_t ms)
{
    connection->deadline_ms = uv_now(&connection->acceptor->loop) + ms;
}

static uint64_t timeout_ms(const struct connection *connection)
{
    return connection->acceptor->server->options.timeout_s * UINT64_C(1000);
}

/* --------------------------------------------------------------------------------- closing */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct acceptor *acceptor = connection->acceptor;
    *connection->back = connection->next;
    if (connection->next != NULL) {
        connection->next->back = connection->back;
    }
    free(connection);
    acceptor->open--;
    atomic_fetch_sub_explicit(&acceptor->server->counts.open, 1, memory_order_relaxed);
    acceptor_closed(acceptor);
}

/* Not while it is BUSY: a worker has the request. */
static void close_connection(struct connection *connection)
{
    if (connection->state != CLOSED) {
        connection->state = CLOSED;
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
    }
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; /* the read that follows ends with the client, or in an error */
}

static void linger(struct connection *connection)
{
    connection->state = LINGERING;
    connection->lingered_bytes = 0;
    set_deadline(connection, LINGER_MS);
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
        close_connection(connection);
    }
}

/* ------------------------------------------------------------------------------ answering */

static void finish_answer(struct connection *connection, bool written)
{
    http_count(&connection->request, written);
    http_answer_fini(&connection->request.answer);
    connection->served = true;
    if (connection->state == CLOSED) {
        return; /* overdue, and closed in the moment in which the last of it was written */
    }
    if (!written) {
        close_connection(connection);
    } else if (connection->keep_alive) {
        connection->state = IDLE;
        set_deadline(connection, timeout_ms(connection));
        if (connection->acceptor->stage >= STOP) {
            connection_end(connection); /* the answer was begun before the end */
        }
    } else {
        linger(connection);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = write->data;
    finish_answer(connection, status == 0);
    advance(connection);
}

static void send_answer(struct connection *connection)
{
    const struct http_answer *answer = &connection->request.answer;
    struct acceptor *acceptor = connection->acceptor;
    if (atomic_load_explicit(&acceptor->server->draining, memory_order_relaxed)) {
        connection->keep_alive = false;
    }
    const char *kept = connection->keep_alive ? "" : "Connection: close\r\n";
    if (connection->keep_alive && connection->parser.http_minor == 0) {
        kept = "Connection: keep-alive\r\n"; /* else a client of HTTP/1.0 takes it for closed */
    }
    char retry[40] = "";
    if (answer->retry_after_s > 0) {
        (void)snprintf(retry, sizeof retry, "Retry-After: %u\r\n", answer->retry_after_s);
    }
    int length = snprintf(connection->header, sizeof connection->header,
                          "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n"
                          "Content-Length: %zu\r\n%s%s%s\r\n",
                          answer->status, http_status_text(answer->status), http_date(),
                          answer->type, answer->body_bytes, retry,
                          answer->status == 405 ? "Allow: GET, HEAD\r\n" : "", kept);
    uv_buf_t buffers[2] = {
        uv_buf_init(connection->header, (unsigned)length),
        uv_buf_init(answer->body, connection->head ? 0 : (unsigned)answer->body_bytes)};
    size_t whole = buffers[0].len + buffers[1].len;
    int written = uv_try_write((uv_stream_t *)&connection->tcp, buffers, 2);
    if (written < 0 && written != UV_EAGAIN) {
        finish_answer(connection, false);
        return;
    }
    size_t done = written < 0 ? 0 : (size_t)written;
    if (done == whole) {
        finish_answer(connection, true);
        return;
    }
    for (int i = 0; i < 2; i++) {
        size_t part = done < buffers[i].len ? done : buffers[i].len;
        buffers[i].base += part;
        buffers[i].len -= part;
        done -= part;
    }
    connection->state = WRITING;
    connection->write.data = connection;
    set_deadline(connection, timeout_ms(connection));
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, buffers, 2, on_written) !=
        0) {
        finish_answer(connection, false);
    }
}

/* Something came that is no request to be served: its answer is the connection's last. */
static void send_error(struct connection *connection, int status, const char *what)
{
    atomic_fetch_add_explicit(&connection->acceptor->server->counts.requests, 1,
                              memory_order_relaxed);
    connection->begin = connection->end = 0;
    connection->keep_alive = false;
    connection->state = BUSY;
    http_answer_text(&connection->request.answer, status, "%s\n", what);
    send_answer(connection);
}

static void serve(struct connection *connection)
{
    atomic_fetch_add_explicit(&connection->acceptor->server->counts.requests, 1,
                              memory_order_relaxed);
    connection->state = BUSY;
    connection->target[connection->target_bytes] = '\0';
    if (!http_route(&connection->request, connection->target) ||
        !http_submit(&connection->request)) {
        send_answer(connection);
    }
}

/* On a worker. The loop lives until the last task has returned. */
static void task_done(struct http_request *request)
{
    struct connection *connection = (struct connection *)request;
    struct acceptor *acceptor = connection->acceptor;
    struct connection *head = atomic_load_explicit(&acceptor->ready, memory_order_relaxed);
    do {
        connection->next_ready = head;
    } while (!atomic_compare_exchange_weak_explicit(&acceptor->ready, &head, connection,
                                                    memory_order_release, memory_order_relaxed));
    (void)uv_async_send(&acceptor->wake);
}

/* -------------------------------------------------------------------------------- parsing */

static int on_message_begin(http_parser *parser)
{
    struct connection *connection = parser->data;
    connection->state = READING;
    connection->error_status = 0;
    connection->target_bytes = 0;
    connection->body_bytes = 0;
    connection->head = false;
    set_deadline(connection, timeout_ms(connection)); /* for all of the request */
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct connection *connection = parser->data;
    if (length > HTTP_TARGET_MAX - connection->target_bytes) {
        connection->error_status = 414;
        return -1;
    }
    memcpy(connection->target + connection->target_bytes, at, length);
    connection->target_bytes += length;
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    struct connection *connection = parser->data;
    if (parser->http_major != 1) {
        connection->error_status = 505;
    } else if (parser->method != HTTP_GET && parser->method != HTTP_HEAD) {
        connection->error_status = 405;
    } else if (parser->content_length != UINT64_MAX && parser->content_length > HTTP_BODY_MAX) {
        connection->error_status = 413;
    }
    connection->head = parser->method == HTTP_HEAD;
    return connection->error_status != 0 ? -1 : 0;
}

static int on_body(http_parser *parser, const char *at, size_t length)
{
    struct connection *connection = parser->data;
    (void)at;
    connection->body_bytes += length;
    if (connection->body_bytes > HTTP_BODY_MAX) {
        connection->error_status = 413;
        return -1;
    }
    return 0;
}

static int on_message_complete(http_parser *parser)
{
    struct connection *connection = parser->data;
    connection->keep_alive = http_should_keep_alive(parser) != 0;
    http_parser_pause(parser, 1); /* what follows is the next request's */
    return 0;
}

static const http_parser_settings parser_settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static const char *error_text(int status)
{
    switch (status) {
    case 405:
        return "only GET and HEAD are served";
    case 413:
        return "a body of more than 64 kB";
    case 414:
        return "a target of more than 1024 bytes";
    case 431:
        return "a request head of more than 8 kB";
    default:
        return "HTTP/1.0 and HTTP/1.1 are spoken here";
    }
}

static void parse(struct connection *connection)
{
    http_parser *parser = &connection->parser;
    connection->begin +=
        http_parser_execute(parser, &parser_settings, connection->in + connection->begin,
                            connection->end - connection->begin);
    enum http_errno error = HTTP_PARSER_ERRNO(parser);
    if (error == HPE_PAUSED) {
        http_parser_pause(parser, 0);
        serve(connection);
    } else if (error == HPE_HEADER_OVERFLOW) {
        send_error(connection, 431, error_text(431));
    } else if (error != HPE_OK && connection->error_status != 0) {
        send_error(connection, connection->error_status, error_text(connection->error_status));
    } else if (error != HPE_OK) {
        send_error(connection, 400, http_errno_description(error));
    }
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *connection = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(connection->in, sizeof connection->in);
}

/* Serves what was read as far as it goes without waiting, then reads or does not, as the state is. */
static void advance(struct connection *connection)
{
    while ((connection->state == IDLE || connection->state == READING) &&
           connection->begin < connection->end) {
        parse(connection);
    }
    if (connection->state == CLOSED) {
        return;
    }
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    if (connection->state == BUSY || connection->state == WRITING) {
        (void)uv_read_stop(stream);
        return;
    }
    connection->begin = connection->end = 0;
    int result = uv_read_start(stream, give_buffer, on_read);
    if (result != 0 && result != UV_EALREADY) {
        close_connection(connection);
    }
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    (void)buffer;
    if (length < 0) { /* the client's end or an error; half a request is none */
        close_connection(connection);
        return;
    }
    if (connection->state == LINGERING) {
        connection->lingered_bytes += (size_t)length;
        if (connection->lingered_bytes > LINGER_BYTES) {
            close_connection(connection);
        }
        return;
    }
    connection->begin = 0;
    connection->end = (size_t)length;
    advance(connection);
}

/* ------------------------------------------------------------- what the acceptor asks for */

void connections_sweep(struct acceptor *acceptor, bool all)
{
    uint64_t now_ms = uv_now(&acceptor->loop);
    struct connection *next = NULL;
    for (struct connection *c = acceptor->connections; c != NULL; c = next) {
        next = c->next;
        if (c->state == BUSY || c->state == CLOSED || (now_ms < c->deadline_ms && !all)) {
            continue;
        }
        if (c->state == READING && !all) {
            send_error(c, 408, "the request took too long to come");
            advance(c);
        } else {
            close_connection(c); /* WRITING: on_written() counts it */
        }
    }
}

void connection_answer(struct connection *connection)
{
    send_answer(connection);
    advance(connection);
}

void connection_end(struct connection *connection)
{
    uv_os_fd_t fd;
    if (!connection->served) {
        set_deadline(connection, HTTP_LAST_REQUEST_MS);
    } else if (uv_fileno((uv_handle_t *)&connection->tcp, &fd) == 0) {
        (void)shutdown(fd, SHUT_RD); /* what is there is read and answered, then it ends */
    }
}

void connection_add(struct acceptor *acceptor, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        (void)close(fd);
        return;
    }
    (void)uv_tcp_init(&acceptor->loop, &connection->tcp);
    connection->tcp.data = connection;
    connection->acceptor = acceptor;
    connection->request.server = acceptor->server;
    connection->request.node = acceptor->node;
    connection->request.done = task_done;
    http_parser_init(&connection->parser, HTTP_REQUEST);
    connection->parser.data = connection;
    connection->next = acceptor->connections;
    connection->back = &acceptor->connections;
    if (connection->next != NULL) {
        connection->next->back = &connection->next;
    }
    acceptor->connections = connection;
    acceptor->open++;
    struct http_counts *counts = &acceptor->server->counts;
    atomic_fetch_add_explicit(&counts->open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->connections, 1, memory_order_relaxed);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        (void)close(fd);
        close_connection(connection);
    } else {
        (void)uv_tcp_nodelay(&connection->tcp, 1);
        set_deadline(connection, timeout_ms(connection));
        advance(connection);
    }
}
