/*
 * The two halves of http_uv: acceptors (http_uv.c) and their connections (http_uv_connection.c). All of it
 * belongs to the acceptor's thread, but for what says otherwise.
 */
#ifndef HTTP_UV_H
#define HTTP_UV_H

#include "http_common.h"

#include <http_parser.h>
#include <uv.h>

#include <pthread.h>
#include <semaphore.h>

#define PIPELINE_BYTES 4096

struct connection;

/* What the main thread asks an acceptor for; each includes those before. */
enum stage {
    SERVE,
    STOP, /* take no more connections, end those that have nothing to do */
    END,  /* no task is left: return when the last connection is closed */
};

struct acceptor {
    struct http_server *server;
    unsigned index;
    unsigned node;
    unsigned connections_max;
    pthread_t thread;
    uv_loop_t loop;
    int listener;
    uv_poll_t poll; /* of the listener */
    bool accepting;
    uv_async_t wake;
    uv_timer_t sweep;
    /* Asked under the lock: who reads END may close `wake`, and uv_async_send() is not to meet that. */
    pthread_mutex_t lock;
    enum stage wanted;
    sem_t stopped; /* posted once all that the kernel had accepted is a connection */
    enum stage stage;
    _Atomic(struct connection *) ready; /* whose tasks have finished, newest first */
    struct connection *connections;     /* all */
    unsigned open;
};

enum state { IDLE, READING, BUSY, WRITING, LINGERING, CLOSED };

struct connection {
    struct http_request request; /* first: a task's argument is the connection, too */
    struct acceptor *acceptor;
    struct connection *next;
    struct connection **back; /* what points to this one */
    struct connection *next_ready;
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    http_parser parser;
    enum state state;
    int error_status; /* why READING ends without a request */
    bool head;        /* HEAD: an answer without its body */
    bool keep_alive;
    bool served; /* had an answer */
    uint64_t deadline_ms;
    size_t body_bytes;
    size_t lingered_bytes;
    size_t target_bytes;
    size_t begin; /* in[begin..end-1] was read, but not parsed */
    size_t end;
    char target[HTTP_TARGET_MAX + 1];
    char header[320];
    char in[PIPELINE_BYTES];
};

/* A connection on `fd`, which it takes over; closes that if there is no memory. */
void connection_add(struct acceptor *acceptor, int fd);
/* Sends the answer that its task has made. */
void connection_answer(struct connection *connection);
/* For a connection that is IDLE when the server ends, or becomes so afterwards. */
void connection_end(struct connection *connection);
/* Ends connections that are overdue, or all without a task. */
void connections_sweep(struct acceptor *acceptor, bool all);

/* A connection has been closed. */
void acceptor_closed(struct acceptor *acceptor);

#endif
