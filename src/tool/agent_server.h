/*
 * A TCP server for one line: whoever connects is told it, and what they say is not listened to. One thread;
 * as many connections as have a place, and none for longer than a second.
 */
#ifndef NPI_TOOL_AGENT_SERVER_H
#define NPI_TOOL_AGENT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_LISTENERS 16u
#define AGENT_CONNECTIONS 64u

struct agent_connection {
    int fd;
    uint64_t until_ns;
    size_t read_bytes;
};

struct agent_server {
    int listeners[AGENT_LISTENERS];
    size_t listener_count;
    /* Those that were answered and have not hung up yet, oldest first. */
    struct agent_connection connections[AGENT_CONNECTIONS];
    size_t connection_count;
    uint64_t accept_ns; /* no earlier: there were no descriptors left */
    int signals;
};

/* What the server calls. */
struct agent_handler {
    void *context;
    void (*tick)(void *context); /* every interval */
    void (*answer)(void *context, char *line, size_t bytes);
};

/*
 * Listens at addresses or names ("*" = all of this machine), without any at those of loopback, and says where on
 * standard error. Port 0: the kernel chooses one for all. Returns enum tool_exit, and complains.
 */
int agent_server_open(struct agent_server *server, const char *const *addresses, size_t count,
                      unsigned port);

/* Until SIGTERM, SIGINT or SIGHUP, which are blocked from agent_server_open() on. Returns enum tool_exit. */
int agent_server_run(struct agent_server *server, uint64_t interval_ns,
                     const struct agent_handler *handler);
void agent_server_close(struct agent_server *server);

#endif
