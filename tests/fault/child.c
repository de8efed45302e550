/* A load in a process of its own (load.h): it may be killed, or lose what a process cannot get back. */
#include "fault/load.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Beside its tasks; then it hangs. */
#define CHILD_SECONDS 300u
#define CHILD_TASKS_PER_SECOND 50000u

bool load_in_child(void (*body)(void))
{
    (void)fflush(stdout);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        (void)alarm(CHILD_SECONDS + (unsigned)(load_tasks() / CHILD_TASKS_PER_SECOND));
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        (void)fflush(stdout);
        _exit(0);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
