/* See agent_server.h. */
#include "tool/agent_server.h"

#include "tool/tool.h"
#include "tool/watch.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

/* A connection is kept after its answer only so that closing it does not reset it: that happens when something
   was sent that nobody has read, and may take the answer with it. */
#define LINGER_NS UINT64_C(1000000000)
#define READ_BYTES_MOST 65536u

#define NO_DESCRIPTORS_NS UINT64_C(100000000)
#define ACCEPTS_AT_ONCE 64u
#define PORT_TRIES 16u

/* ------------------------------------------------------------------------------- listening */

struct listening {
    struct agent_server *server;
    unsigned port;  /* 0 until the kernel has chosen */
    char text[512]; /* where it listens */
};

static unsigned port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        return 0;
    }
    return address.ss_family == AF_INET6
               ? ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port)
               : ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

static void describe(const struct sockaddr *address, socklen_t length, unsigned port, char *text,
                     size_t bytes)
{
    char host[128];
    if (getnameinfo(address, length, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0) {
        (void)snprintf(host, sizeof host, "?");
    }
    (void)snprintf(text, bytes, address->sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* Returns 0 or an errno. */
static int listen_at(struct listening *listening, const struct addrinfo *info)
{
    struct agent_server *server = listening->server;
    struct sockaddr_storage address;
    memcpy(&address, info->ai_addr, info->ai_addrlen);
    if (info->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)&address)->sin6_port = htons((uint16_t)listening->port);
    } else {
        ((struct sockaddr_in *)(void *)&address)->sin_port = htons((uint16_t)listening->port);
    }
    if (server->listener_count == AGENT_LISTENERS) {
        return E2BIG;
    }
    int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (info->ai_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0) ||
        bind(fd, (struct sockaddr *)&address, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        (void)close(fd);
        return error;
    }
    listening->port = port_of(fd);
    server->listeners[server->listener_count++] = fd;
    size_t used = strlen(listening->text);
    char text[160];
    describe(info->ai_addr, info->ai_addrlen, listening->port, text, sizeof text);
    (void)snprintf(listening->text + used, sizeof listening->text - used, "%s%s",
                   used != 0 ? ", " : "", text);
    return 0;
}

static void close_listeners(struct agent_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        (void)close(server->listeners[i]);
    }
    server->listener_count = 0;
}

static void complain_of(const struct addrinfo *info, unsigned port, int error)
{
    char text[160];
    describe(info->ai_addr, info->ai_addrlen, port, text, sizeof text);
    tool_complain("cannot listen at %s: %s%s", text, strerror(error),
                  error == EADDRINUSE      ? " (another agent? every one needs a --port of its own)"
                  : error == EADDRNOTAVAIL ? " (--bind takes addresses of this machine)"
                  : error == EACCES        ? " (ports below 1024 are the system's)"
                  : error == E2BIG         ? " (16 addresses are the most)"
                                           : "");
}

static bool is_missing(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

/* All addresses of a name. Where a name stands for both families, one may be missing on this machine. Returns
   0, or an errno after it complained; EADDRINUSE for a port the kernel chose is not complained of. */
static int listen_at_all(struct listening *listening, const char *name, bool chosen)
{
    bool all = name != NULL && strcmp(name, "*") == 0, both = name == NULL || all;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = all ? AI_PASSIVE : 0};
    struct addrinfo *list = NULL, *missing = NULL;
    const char *node = both ? NULL : name; /* NULL is loopback, or with AI_PASSIVE all */
    int code = getaddrinfo(node, "0", &hints, &list);
    if (code != 0) {
        tool_complain("cannot listen at '%s': %s", name != NULL ? name : "localhost",
                      code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        return EINVAL;
    }
    int error = 0, missing_error = 0;
    size_t before = listening->server->listener_count;
    for (struct addrinfo *info = list; info != NULL && error == 0; info = info->ai_next) {
        error = listen_at(listening, info);
        if (both && is_missing(error)) {
            missing = info;
            missing_error = error;
            error = 0;
        } else if (error != 0 && !(chosen && error == EADDRINUSE)) {
            complain_of(info, listening->port, error);
        }
    }
    if (error == 0 && listening->server->listener_count == before && missing != NULL) {
        complain_of(missing, listening->port, missing_error);
        error = missing_error;
    }
    freeaddrinfo(list);
    return error;
}

int agent_server_open(struct agent_server *server, const char *const *addresses, size_t count,
                      unsigned port)
{
    sigset_t set;
    memset(server, 0, sizeof *server);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* who reads our standard error may end before we do */
    server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (server->signals < 0) {
        tool_complain("no descriptor for signals: %s", strerror(errno));
        return TOOL_FAILED;
    }
    for (unsigned tries = 0;; tries++) {
        struct listening listening = {.server = server, .port = port};
        bool again = port == 0 && tries < PORT_TRIES;
        int error = count == 0 ? listen_at_all(&listening, NULL, again) : 0;
        for (size_t i = 0; i < count && error == 0; i++) {
            error = listen_at_all(&listening, addresses[i], again);
        }
        if (error == 0) {
            tool_complain("listening at %s", listening.text);
            return TOOL_OK;
        }
        close_listeners(server);
        if (error != EADDRINUSE || !again) {
            (void)close(server->signals);
            return TOOL_USAGE;
        }
    }
}

/* ----------------------------------------------------------------------------- connections */

static void forget(struct agent_server *server, size_t i)
{
    (void)close(server->connections[i].fd);
    server->connection_count--;
    memmove(&server->connections[i], &server->connections[i + 1],
            (server->connection_count - i) * sizeof server->connections[0]);
}

/* True: it has hung up, or has said enough. */
static bool read_on(struct agent_connection *connection)
{
    char bytes[4096];
    for (;;) {
        ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
        }
        connection->read_bytes += (size_t)got;
        if (connection->read_bytes > READ_BYTES_MOST) {
            return true;
        }
    }
}

/* An empty socket takes a line at once, so nobody is waited for. */
static void serve(struct agent_server *server, int fd, const struct agent_handler *handler)
{
    char line[256];
    handler->answer(handler->context, line, sizeof line);
    ssize_t sent = send(fd, line, strlen(line), MSG_NOSIGNAL);
    if (sent < 0 || shutdown(fd, SHUT_WR) != 0) {
        (void)close(fd); /* it has hung up already */
        return;
    }
    if (server->connection_count == AGENT_CONNECTIONS) {
        forget(server, 0);
    }
    server->connections[server->connection_count++] =
        (struct agent_connection){.fd = fd, .until_ns = watch_now_ns() + LINGER_NS};
}

static void accept_all(struct agent_server *server, int listener,
                       const struct agent_handler *handler)
{
    for (unsigned i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            serve(server, fd, handler);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* It would be reported again and again. Those that linger have had their answer. */
            if (server->connection_count == 0) {
                server->accept_ns = watch_now_ns() + NO_DESCRIPTORS_NS;
                return;
            }
            forget(server, 0);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } /* otherwise this one has hung up; the next may not */
    }
}

/* ------------------------------------------------------------------------------------ loop */

static int timeout_ms(const struct agent_server *server, uint64_t next_ns, uint64_t now)
{
    uint64_t until = next_ns;
    if (server->connection_count != 0 && server->connections[0].until_ns < until) {
        until = server->connections[0].until_ns;
    }
    if (server->accept_ns > now && server->accept_ns < until) {
        until = server->accept_ns;
    }
    uint64_t ms = until > now ? (until - now + 999999) / 1000000 : 0;
    return ms < 60000 ? (int)ms : 60000;
}

int agent_server_run(struct agent_server *server, uint64_t interval_ns,
                     const struct agent_handler *handler)
{
    uint64_t next_ns = watch_now_ns() + interval_ns;
    for (;;) {
        struct pollfd polled[1 + AGENT_LISTENERS + AGENT_CONNECTIONS];
        uint64_t now = watch_now_ns();
        nfds_t count = 0;
        size_t listening = now >= server->accept_ns ? server->listener_count : 0;
        polled[count++] = (struct pollfd){.fd = server->signals, .events = POLLIN};
        for (size_t i = 0; i < listening; i++) {
            polled[count++] = (struct pollfd){.fd = server->listeners[i], .events = POLLIN};
        }
        size_t first = count, connections = server->connection_count;
        for (size_t i = 0; i < connections; i++) {
            polled[count++] = (struct pollfd){.fd = server->connections[i].fd, .events = POLLIN};
        }
        int ready = poll(polled, count, timeout_ms(server, next_ns, now));
        if (ready < 0 && errno != EINTR && errno != EAGAIN) {
            tool_complain("cannot wait: %s", strerror(errno));
            return TOOL_FAILED;
        }
        now = watch_now_ns();
        if (ready > 0 && polled[0].revents != 0) {
            return TOOL_OK;
        }
        for (size_t i = connections; i-- > 0;) { /* from behind: forgetting moves the later ones */
            struct agent_connection *connection = &server->connections[i];
            bool said = ready > 0 && polled[first + i].revents != 0;
            if (now >= connection->until_ns || (said && read_on(connection))) {
                forget(server, i);
            }
        }
        if (now >= next_ns) {
            handler->tick(handler->context);
            next_ns += interval_ns;
            if (next_ns <= now) { /* we were stopped */
                next_ns = now + interval_ns;
            }
        }
        for (size_t i = 0; ready > 0 && i < listening; i++) {
            if (polled[1 + i].revents != 0) {
                accept_all(server, server->listeners[i], handler);
            }
        }
    }
}

void agent_server_close(struct agent_server *server)
{
    while (server->connection_count != 0) {
        forget(server, server->connection_count - 1);
    }
    close_listeners(server);
    (void)close(server->signals);
}
