/* The process of an HTTP server: options, pool, listening sockets, signals, and the account at the end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "http_common.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <numa.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

/* --------------------------------------------------------------------------------- options */

enum { KEY_TIMEOUT = 256, KEY_DEADLINE, KEY_GRACE, KEY_DRAIN, KEY_QUEUE, KEY_CONNECTIONS };

static const struct argp_option option_table[] = {
    {"port", 'p', "N", 0, "Listen on port N; 0: any, and say which (default 8080)", 0},
    {"address", 'a', "IP", 0, "Listen on this address (default 127.0.0.1; 0.0.0.0 is all)", 0},
    {"config", 'c', "FILE", 0,
     "Topology configuration of the pool; NUMAPOOL_ variables win over it", 0},
    {"workers", 'w', "N", 0, "How many requests are served at once", 0},
    {"queue", KEY_QUEUE, "N", 0, "How many requests may wait", 0},
    {"acceptors", 'A', "N", 0, "Threads that take connections (default one per node with workers)",
     0},
    {"connections", KEY_CONNECTIONS, "N", 0, "Connections open at once (default 4096)", 0},
    {"timeout", KEY_TIMEOUT, "S", 0,
     "A client may take S seconds to send a request, to read its answer, or to come with the next "
     "(default 10)",
     0},
    {"deadline", KEY_DEADLINE, "MS", 0, "Give up requests not served after MS ms (default never)",
     0},
    {"grace", KEY_GRACE, "MS", 0,
     "After SIGTERM serve on for MS ms while /healthz says 503 (default 200)", 0},
    {"drain", KEY_DRAIN, "S", 0, "Then cancel what is not served after S seconds (default 30)", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static unsigned long number(struct argp_state *state, const char *name, const char *text,
                            unsigned long min, unsigned long max)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        argp_error(state, "--%s: '%s' is not a number from %lu to %lu", name, text, min, max);
    }
    return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct http_options *options = state->input;
    struct in_addr address;
    switch (key) {
    case 'p':
        options->port = (uint16_t)number(state, "port", text, 0, 65535);
        return 0;
    case 'a':
        if (inet_pton(AF_INET, text, &address) != 1) {
            argp_error(state, "--address: '%s' is not an IPv4 address", text);
        }
        options->address = text;
        return 0;
    case 'c':
        options->config = text;
        return 0;
    case 'w':
        options->workers = (unsigned)number(state, "workers", text, 1, 1000000);
        return 0;
    case KEY_QUEUE:
        options->queue_tasks = number(state, "queue", text, 1, 100000000);
        return 0;
    case 'A':
        options->acceptors = (unsigned)number(state, "acceptors", text, 1, HTTP_ACCEPTORS_MAX);
        return 0;
    case KEY_CONNECTIONS:
        options->connections = (unsigned)number(state, "connections", text, 1, 1000000);
        return 0;
    case KEY_TIMEOUT:
        options->timeout_s = (unsigned)number(state, "timeout", text, 1, 3600);
        return 0;
    case KEY_DEADLINE:
        options->deadline_ms = (unsigned)number(state, "deadline", text, 1, 3600000);
        return 0;
    case KEY_GRACE:
        options->grace_ms = (unsigned)number(state, "grace", text, 0, 600000);
        return 0;
    case KEY_DRAIN:
        options->drain_s = (unsigned)number(state, "drain", text, 0, 3600);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------------------------ pool */

/* A node can have several shards, or none: memory without CPUs, or one shard for several nodes. */
static void find_nodes(struct http_server *server)
{
    const size_t shards = numapool_shard_count(server->pool);
    for (size_t shard = 0; shard < shards && server->node_count < HTTP_ACCEPTORS_MAX; shard++) {
        struct numapool_shard_stats stats = {.struct_size = sizeof stats};
        bool known = numapool_shard_stats(server->pool, shard, &stats) != NUMAPOOL_OK;
        for (unsigned i = 0; i < server->node_count; i++) {
            known = known || server->nodes[i].index == stats.node;
        }
        if (!known) {
            server->nodes[server->node_count++] = (struct http_node){
                .index = (unsigned)stats.node, .os_index = (unsigned)stats.node_os_index};
        }
    }
}

static bool make_pool(struct http_server *server)
{
    struct numapool_config config;
    static struct numapool_error error;
    numapool_config_init(&config);
    const struct http_options *options = &server->options;
    if ((options->config != NULL && numapool_config_load(&config, options->config, &error)) ||
        numapool_config_env(&config, &error)) {
        fprintf(stderr, "%s: %s\n", server->name, error.text);
        numapool_config_fini(&config);
        return false;
    }
    if (options->workers > 0) {
        config.workers_max = options->workers;
        if (config.workers_min > options->workers) {
            config.workers_min = options->workers;
        }
    }
    if (options->queue_tasks > 0) {
        config.queue_tasks = options->queue_tasks;
    }
    server->memory_bytes = config.memory_bytes;
    int result = numapool_create(&server->pool, &config, &error);
    numapool_config_fini(&config);
    if (result != NUMAPOOL_OK) {
        fprintf(stderr, "%s: no pool: %s\n", server->name, error.text);
        return false;
    }
    if (numapool_group_create(&server->group, server->pool) != NUMAPOOL_OK) {
        fprintf(stderr, "%s: no memory for a group\n", server->name);
        (void)numapool_destroy(server->pool);
        return false;
    }
    find_nodes(server);
    return true;
}

static sigset_t ending_signals(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    return signals;
}

bool http_server_init(struct http_server *server, int argc, char **argv, const char *name,
                      const char *doc)
{
    *server = (struct http_server){.name = name};
    server->options = (struct http_options){.address = "127.0.0.1",
                                            .port = 8080,
                                            .connections = 4096,
                                            .timeout_s = 10,
                                            .grace_ms = 200,
                                            .drain_s = 30};
    const struct argp argp = {.options = option_table, .parser = parse, .doc = doc};
    if (argp_parse(&argp, argc, argv, 0, NULL, &server->options) != 0) {
        return false;
    }
    /* Before there are threads: they inherit it, and only http_wait_for_end() takes the signals. */
    sigset_t signals = ending_signals();
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    return make_pool(server);
}

/* --------------------------------------------------------------------------------- sockets */

unsigned http_acceptors(const struct http_server *server)
{
    size_t count = server->options.acceptors;
    if (count == 0) {
        count = server->node_count;
    }
    return count < HTTP_ACCEPTORS_MAX ? (unsigned)count : HTTP_ACCEPTORS_MAX;
}

/* -1 with errno. */
static int bind_socket(const struct http_options *options, uint16_t port, bool share)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    (void)inet_pton(AF_INET, options->address, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        return fd;
    }
    int why = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = why;
    return -1;
}

bool http_listen(struct http_server *server, int *sockets, unsigned count)
{
    struct http_options *options = &server->options;
    bool share = count > 1;
    unsigned made = 0;
    bool ready = true;
    if (share && options->port != 0) {
        /* SO_REUSEPORT would also join a port that another process of this user has. */
        int probe = bind_socket(options, options->port, false);
        ready = probe >= 0;
        if (ready) {
            (void)close(probe);
        }
    }
    while (ready && made < count) {
        sockets[made] = bind_socket(options, options->port, share);
        ready = sockets[made] >= 0;
        if (ready) {
            struct sockaddr_in bound;
            socklen_t length = sizeof bound;
            made++;
            ready = listen(sockets[made - 1], SOMAXCONN) == 0 &&
                    getsockname(sockets[made - 1], (struct sockaddr *)&bound, &length) == 0;
            options->port = ready ? ntohs(bound.sin_port) : options->port;
        }
    }
    if (!ready) {
        fprintf(stderr, "%s: cannot listen on %s:%u: %s\n", server->name, options->address,
                (unsigned)options->port, strerror(errno));
        while (made > 0) {
            (void)close(sockets[--made]);
        }
        return false;
    }
    printf("%s: listening on %s:%u, acceptors %u, nodes %u\n", server->name, options->address,
           (unsigned)options->port, count, server->node_count);
    (void)fflush(stdout);
    return true;
}

unsigned http_place_acceptor(struct http_server *server, unsigned acceptor)
{
    const struct http_node *node = &server->nodes[acceptor % server->node_count];
    const int os_index = (int)node->os_index;
    /* On one node there is nothing to choose, and a described machine (NUMAPOOL_MACHINE) has nodes
       that are not here. */
    if (server->node_count < 2 || numa_available() < 0 || os_index > numa_max_node() ||
        getenv("NUMAPOOL_MACHINE") != NULL) {
        return node->index;
    }
    /* All of the node's CPUs that the process may use, also those that the pool leaves free. */
    struct bitmask *cpus = numa_allocate_cpumask();
    struct bitmask *allowed = numa_allocate_cpumask();
    if (cpus != NULL && allowed != NULL && numa_node_to_cpus(os_index, cpus) == 0 &&
        numa_sched_getaffinity(0, allowed) >= 0) {
        unsigned both = 0;
        for (unsigned cpu = 0; cpu < cpus->size; cpu++) {
            if (!numa_bitmask_isbitset(allowed, cpu)) {
                (void)numa_bitmask_clearbit(cpus, cpu);
            }
            both += numa_bitmask_isbitset(cpus, cpu) != 0;
        }
        if (both > 0) {
            (void)numa_sched_setaffinity(0, cpus);
        }
    }
    numa_free_cpumask(cpus);
    numa_free_cpumask(allowed);
    return node->index;
}

int http_accept(int listener)
{
    int fd;
    do {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}

/* --------------------------------------------------------------------------------- the end */

static _Atomic bool hurry;

bool http_in_a_hurry(void)
{
    sigset_t signals = ending_signals();
    const struct timespec none = {0, 0};
    if (sigtimedwait(&signals, NULL, &none) > 0) {
        atomic_store(&hurry, true);
    }
    return atomic_load(&hurry);
}

void http_wait_for_end(struct http_server *server)
{
    sigset_t signals = ending_signals();
    int signal_number = 0;
    while (sigwait(&signals, &signal_number) != 0) {
    }
    printf("%s: %s: draining\n", server->name, strsignal(signal_number));
    (void)fflush(stdout);
    atomic_store(&server->draining, true);
    struct timespec grace = {.tv_sec = server->options.grace_ms / 1000,
                             .tv_nsec = (long)(server->options.grace_ms % 1000 * MS)};
    if (sigtimedwait(&signals, NULL, &grace) > 0) {
        atomic_store(&hurry, true);
    }
}

void http_drain(struct http_server *server, void (*look)(void *arg, unsigned waited_ms), void *arg)
{
    /* A connection is open until its request is answered; only then is the pool closed, so that what a
       client is just sending is served, too. */
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)(HTTP_LOOK_MS * MS)};
    unsigned waited_ms = 0;
    while (atomic_load(&server->counts.open) > 0 && waited_ms < server->options.drain_s * 1000 &&
           !http_in_a_hurry()) {
        if (look != NULL) {
            look(arg, waited_ms);
        }
        (void)nanosleep(&pause, NULL);
        waited_ms += HTTP_LOOK_MS;
    }
    int result = numapool_drain(server->pool, 0);
    /* No connection: each request is answered, and at most a worker is still on its way back from one. */
    while (result == NUMAPOOL_E_TIMEDOUT && atomic_load(&server->counts.open) == 0) {
        result = numapool_drain(server->pool, HTTP_LOOK_MS * MS);
    }
    if (result == NUMAPOOL_E_TIMEDOUT) {
        fprintf(stderr, "%s: cancelling requests that are not served yet\n", server->name);
        (void)numapool_group_cancel(server->group);
        result = numapool_drain(server->pool, UINT64_MAX); /* tasks look every 50 ms */
    }
    if (result != NUMAPOOL_OK) {
        fprintf(stderr, "%s: drain: %s\n", server->name, numapool_strerror(result));
    }
}

int http_server_fini(struct http_server *server)
{
    const struct http_counts *counts = &server->counts;
    struct numapool_stats stats = {.struct_size = sizeof stats};
    bool whole = numapool_stats(server->pool, &stats) == NUMAPOOL_OK;
    (void)numapool_group_destroy(server->group);
    whole = numapool_destroy(server->pool) == NUMAPOOL_OK && whole;

    uint64_t requests = atomic_load(&counts->requests);
    uint64_t ok = atomic_load(&counts->ok);
    uint64_t unavailable = atomic_load(&counts->unavailable);
    uint64_t other = atomic_load(&counts->invalid);
    uint64_t aborted = atomic_load(&counts->aborted);
    uint64_t accepted = atomic_load(&counts->accepted);
    uint64_t run = atomic_load(&counts->run);
    uint64_t dropped = atomic_load(&counts->dropped);
    uint64_t refused = 0;
    for (size_t i = 0; i < HTTP_RESULTS; i++) {
        refused += atomic_load(&counts->refused[i]);
    }
    whole = whole && requests == ok + unavailable + other + aborted && accepted == run + dropped &&
            stats.accepted == accepted && stats.submitted == accepted + refused &&
            stats.accepted == stats.run + stats.dropped;
    printf("%s: requests=%" PRIu64 " status_200=%" PRIu64 " status_503=%" PRIu64
           " status_other=%" PRIu64 " aborted=%" PRIu64 " connections=%" PRIu64 " accepted=%" PRIu64
           " run=%" PRIu64 " dropped=%" PRIu64 " refused=%" PRIu64 " full=%" PRIu64 " shed=%" PRIu64
           " deadline=%" PRIu64 " closed=%" PRIu64 ": %s\n",
           server->name, requests, ok, unavailable, other, aborted,
           atomic_load(&counts->connections), accepted, run, dropped, refused,
           atomic_load(&counts->refused[-NUMAPOOL_E_FULL]),
           atomic_load(&counts->refused[-NUMAPOOL_E_SHED]),
           atomic_load(&counts->refused[-NUMAPOOL_E_DEADLINE]),
           atomic_load(&counts->refused[-NUMAPOOL_E_CLOSED]),
           whole ? "nothing is missing" : "THE ACCOUNT DOES NOT ADD UP");
    (void)fflush(stdout);
    return whole ? 0 : 1;
}
