/*
 * An HTTP/1.1 server on libuv that does its work in a numapool: /work?ms=&cpu_us=&kb=, /metrics, /healthz.
 *
 * An acceptor is a thread with an event loop and a listening socket of its own; there is one for each
 * node, on that node's CPUs, and its requests become tasks of that node. The loop never waits for a task:
 * a worker puts the finished request on the acceptor's list and wakes the loop by uv_async_send().
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "http_uv.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define SWEEP_MS 100    /* how exactly time-outs are kept */
#define ACCEPT_BATCH 64 /* then requests have their turn */

/* ------------------------------------------------------------------------------- accepting */

static void accept_again(struct acceptor *acceptor);

/* Runs while there are connections, or descriptors are wanting: an idle server sleeps. */
static void sweep(uv_timer_t *timer)
{
    struct acceptor *acceptor = timer->data;
    connections_sweep(acceptor, acceptor->stage >= STOP && http_in_a_hurry());
    accept_again(acceptor);
    if (acceptor->open == 0 && (acceptor->accepting || acceptor->stage > SERVE)) {
        (void)uv_timer_stop(timer);
    }
}

static void start_sweep(struct acceptor *acceptor)
{
    if (!uv_is_active((uv_handle_t *)&acceptor->sweep)) {
        (void)uv_timer_start(&acceptor->sweep, sweep, SWEEP_MS, SWEEP_MS);
    }
}

/* With as many connections as there may be, or without a descriptor, the rest waits in the kernel. */
static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct acceptor *acceptor = poll->data;
    (void)events;
    for (int i = 0; status == 0 && i < ACCEPT_BATCH; i++) {
        bool room = acceptor->open < acceptor->connections_max;
        int fd = room ? http_accept(acceptor->listener) : -1;
        if (!room || (fd < 0 && errno != EAGAIN)) {
            (void)uv_poll_stop(poll);
            acceptor->accepting = false;
            start_sweep(acceptor); /* begins again */
        }
        if (fd < 0) {
            return;
        }
        connection_add(acceptor, fd);
        start_sweep(acceptor);
    }
}

static void accept_again(struct acceptor *acceptor)
{
    if (!acceptor->accepting && acceptor->stage == SERVE &&
        acceptor->open < acceptor->connections_max) {
        acceptor->accepting = uv_poll_start(&acceptor->poll, UV_READABLE, on_listener) == 0;
    }
}

/* --------------------------------------------------------------------------------- the end */

static void end_if_done(struct acceptor *acceptor)
{
    if (acceptor->stage >= END && acceptor->open == 0 &&
        !uv_is_closing((uv_handle_t *)&acceptor->wake)) {
        uv_close((uv_handle_t *)&acceptor->wake, NULL);
        uv_close((uv_handle_t *)&acceptor->sweep, NULL);
        uv_close((uv_handle_t *)&acceptor->poll, NULL);
    }
}

void acceptor_closed(struct acceptor *acceptor)
{
    accept_again(acceptor);
    end_if_done(acceptor);
}

static void stop_accepting(struct acceptor *acceptor)
{
    /* Who the kernel has said yes to is served, all others are refused by it from here on. */
    (void)uv_poll_stop(&acceptor->poll);
    for (int fd = http_accept(acceptor->listener); fd >= 0; fd = http_accept(acceptor->listener)) {
        connection_add(acceptor, fd);
        start_sweep(acceptor);
    }
    (void)close(acceptor->listener);
    for (struct connection *c = acceptor->connections; c != NULL; c = c->next) {
        if (c->state == IDLE) {
            connection_end(c);
        }
    }
}

static void on_wake(uv_async_t *wake)
{
    struct acceptor *acceptor = wake->data;
    struct connection *taken =
        atomic_exchange_explicit(&acceptor->ready, NULL, memory_order_acquire);
    struct connection *oldest = NULL;
    while (taken != NULL) {
        struct connection *next = taken->next_ready;
        taken->next_ready = oldest;
        oldest = taken;
        taken = next;
    }
    while (oldest != NULL) {
        struct connection *connection = oldest;
        oldest = connection->next_ready;
        connection_answer(connection);
    }
    (void)pthread_mutex_lock(&acceptor->lock);
    enum stage wanted = acceptor->wanted;
    (void)pthread_mutex_unlock(&acceptor->lock);
    if (acceptor->stage < STOP && wanted >= STOP) {
        acceptor->stage = STOP;
        stop_accepting(acceptor);
        (void)sem_post(&acceptor->stopped);
    }
    acceptor->stage = wanted;
    end_if_done(acceptor);
}

static bool open_acceptor(struct acceptor *acceptor, struct http_server *server, unsigned index,
                          int listener)
{
    acceptor->server = server;
    acceptor->index = index;
    acceptor->listener = listener;
    (void)pthread_mutex_init(&acceptor->lock, NULL);
    (void)sem_init(&acceptor->stopped, 0, 0);
    if (uv_loop_init(&acceptor->loop) != 0) {
        return false;
    }
    acceptor->wake.data = acceptor->sweep.data = acceptor->poll.data = acceptor;
    return uv_async_init(&acceptor->loop, &acceptor->wake, on_wake) == 0 &&
           uv_timer_init(&acceptor->loop, &acceptor->sweep) == 0 &&
           uv_poll_init_socket(&acceptor->loop, &acceptor->poll, listener) == 0;
}

static void *accept_and_serve(void *arg)
{
    struct acceptor *acceptor = arg;
    acceptor->node = http_place_acceptor(acceptor->server, acceptor->index);
    accept_again(acceptor);
    (void)uv_run(&acceptor->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&acceptor->loop);
    return NULL;
}

static void ask(struct acceptor *acceptors, unsigned count, enum stage stage)
{
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_mutex_lock(&acceptors[i].lock);
        acceptors[i].wanted = stage;
        (void)uv_async_send(&acceptors[i].wake);
        (void)pthread_mutex_unlock(&acceptors[i].lock);
    }
}

int main(int argc, char **argv)
{
    static struct http_server server;
    static struct acceptor acceptors[HTTP_ACCEPTORS_MAX];
    int listeners[HTTP_ACCEPTORS_MAX];
    if (!http_server_init(&server, argc, argv, "http_uv",
                          "An HTTP server on libuv whose requests are tasks of a numapool.")) {
        return 1;
    }
    http_parser_set_max_header_size(HTTP_HEAD_MAX);
    unsigned count = http_acceptors(&server);
    if (!http_listen(&server, listeners, count)) {
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        struct acceptor *acceptor = &acceptors[i];
        acceptor->connections_max = (server.options.connections + count - 1) / count;
        if (!open_acceptor(acceptor, &server, i, listeners[i]) ||
            pthread_create(&acceptor->thread, NULL, accept_and_serve, acceptor) != 0) {
            fprintf(stderr, "http_uv: acceptor %u of %u could not be started\n", i, count);
            return 1;
        }
    }
    http_wait_for_end(&server);
    ask(acceptors, count, STOP);
    for (unsigned i = 0; i < count; i++) {
        (void)sem_wait(&acceptors[i].stopped); /* else the drain might see no connection yet */
    }
    http_drain(&server, NULL, NULL);
    ask(acceptors, count, END);
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(acceptors[i].thread, NULL);
    }
    return http_server_fini(&server);
}
