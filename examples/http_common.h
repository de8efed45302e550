/*
 * What the two HTTP servers share: options, pool, listening sockets, what a request asks for and what it
 * is answered, counting, and the order of the end. Sockets and the protocol are the servers' own.
 *
 * http_common.c is the process, http_work.c the request.
 */
#ifndef HTTP_COMMON_H
#define HTTP_COMMON_H

#include <numapool/numapool.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_TARGET_MAX 1024 /* longest request target, "/work?ms=5" */
#define HTTP_HEAD_MAX 8192   /* longest request line with all header fields */
#define HTTP_BODY_MAX 65536  /* longest body of a request, which nobody reads */
#define HTTP_ACCEPTORS_MAX 64
/* For clients that had connected, but sent nothing, when the end began. */
#define HTTP_LAST_REQUEST_MS 500
#define HTTP_LOOK_MS 5
#define HTTP_RESULTS 8 /* -results a refusal may have: NUMAPOOL_E_FULL to _E_INVALID */

struct http_options {
    const char *address;
    uint16_t port; /* 0 = any */
    const char *config;
    unsigned workers;     /* 0 = default of the configuration */
    uint64_t queue_tasks; /* likewise */
    unsigned acceptors;   /* 0 = one per node with workers */
    unsigned connections;
    unsigned timeout_s;
    unsigned deadline_ms; /* 0 = none */
    unsigned grace_ms;
    unsigned drain_s;
};

/* Every request is one of answered or aborted; every answer has one status. */
struct http_counts {
    _Atomic uint64_t requests;
    _Atomic uint64_t ok;          /* 200 */
    _Atomic uint64_t invalid;     /* 4xx, 5xx other than 503 */
    _Atomic uint64_t unavailable; /* 503 */
    _Atomic uint64_t aborted;     /* the client went away before it had its whole answer */
    _Atomic uint64_t refused[HTTP_RESULTS]; /* 503 by -result of numapool_submit_task() */
    _Atomic uint64_t dropped;     /* accepted, but not run (503) or not to its end (500, 504) */
    _Atomic uint64_t accepted;    /* by the pool */
    _Atomic uint64_t run;         /* tasks that ran to their end */
    _Atomic uint64_t connections; /* accepted, ever */
    _Atomic uint64_t open;        /* now */
};

struct http_node {
    unsigned index;
    unsigned os_index; /* the kernel's number of it */
};

struct http_server {
    const char *name;
    struct http_options options;
    numapool *pool;
    numapool_group *group; /* all requests: what a drain that takes too long cancels */
    struct http_node nodes[HTTP_ACCEPTORS_MAX]; /* where the pool has workers */
    unsigned node_count;
    uint64_t memory_bytes; /* of the pool, as it was set; 0 = by default, which is not asked for */
    _Atomic bool draining;
    struct http_counts counts;
};

struct http_answer {
    int status;
    const char *type; /* of the content */
    char *body;       /* `text`, or allocated: http_answer_fini() */
    size_t body_bytes;
    unsigned retry_after_s; /* 0 = the header field is left out */
    char text[240];
};

/* What /work asks for. */
struct http_work {
    unsigned ms;     /* sleeps so long, as a request that waits for a disk or a peer */
    unsigned cpu_us; /* then computes so long */
    size_t kb;       /* and writes to so much scratch memory before */
};

/* A request that may need a task; a part of the server's own structure of it. */
struct http_request {
    struct http_server *server;
    struct http_work work;
    struct http_answer answer;
    unsigned node; /* index: the acceptor's */
    /* Called when the answer of an accepted request is ready: on a worker, or where a task is dropped. */
    void (*done)(struct http_request *request);
};

/* ------------------------------------------------------------------------- http_common.c */

/* Reads the options, blocks the signals that end a server, makes the pool. Prints what is wrong. */
bool http_server_init(struct http_server *server, int argc, char **argv, const char *name,
                      const char *doc);

unsigned http_acceptors(const struct http_server *server); /* how many there are to be */
/* Sockets that listen on the same port, one per acceptor, non-blocking. Prints what is wrong. */
bool http_listen(struct http_server *server, int *sockets, unsigned count);
/* Moves the calling thread to the CPUs of the acceptor's node, as far as it may run there; returns
   the node's index. */
unsigned http_place_acceptor(struct http_server *server, unsigned acceptor);
/* One waiting connection, or -1: none. */
int http_accept(int listener);

/* Waits for SIGTERM or SIGINT, tells /healthz and answers of it, lets the grace pass. */
void http_wait_for_end(struct http_server *server);
/*
 * After nobody accepts any more: lets connections come to their end, then the pool. After --drain or at a
 * second signal tasks are cancelled. `look`, if not NULL, is called every HTTP_LOOK_MS meanwhile.
 */
void http_drain(struct http_server *server, void (*look)(void *arg, unsigned waited_ms), void *arg);
/* Destroys the pool and prints the account. Returns the exit status: 1 if anything is missing. */
int http_server_fini(struct http_server *server);

/* A second signal came: what is still open is to be cut off. From any thread. */
bool http_in_a_hurry(void);

/* --------------------------------------------------------------------------- http_work.c */

/*
 * Looks at the target of a GET or HEAD request. Either the answer is ready (false), or request->work says
 * what is to be done (true): then http_submit().
 */
bool http_route(struct http_request *request, const char *target);

/*
 * Hands the request to the pool. True: done() is called later, or has been. False: refused, and the
 * answer, a 503 with its reason, is ready.
 */
bool http_submit(struct http_request *request);

/* A short answer that says what is wrong with the request. */
void http_answer_text(struct http_answer *answer, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void http_answer_fini(struct http_answer *answer);

/* Counts the answer as given, or the request as aborted by its client. */
void http_count(struct http_request *request, bool answered);

const char *http_status_text(int status);
const char *http_date(void); /* now, as the header field Date has it */

#endif
