/*
 * Ends the guest with an exit status, by QEMU's isa-debug-exit device: writing V to its port makes
 * QEMU exit with 2V + 1. The status is sent plus one, because QEMU exits with 1 also when it
 * refuses its own arguments, and that must never look like a pass. Called by init, nobody else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <unistd.h>

#define EXIT_PORT 0xf4
#define STATUS_MAX 126 /* 2 * (126 + 1) + 1 is the largest odd exit status */

int main(int argc, char **argv)
{
    int status = argc > 1 ? atoi(argv[1]) : STATUS_MAX;

    if (status < 0 || status > STATUS_MAX) {
        status = STATUS_MAX;
    }
    if (ioperm(EXIT_PORT, 4, 1) != 0) {
        perror("quit: ioperm");
        return 1;
    }
    outl((unsigned)status + 1, EXIT_PORT);
    return 1;
}
