/* Running another program; see program.h. */
#include "tool/program.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TRIES_PER_S = 100, TRY_NS = 10 * 1000 * 1000 };

static int redirect(posix_spawn_file_actions_t *actions, FILE *file, int to)
{
    return file != NULL ? posix_spawn_file_actions_adddup2(actions, fileno(file), to) : 0;
}

static int start(char *const *arguments, char *const *environment,
                 const struct program_files *files, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    if (files->in != NULL &&
        (fflush(files->in) != 0 || lseek(fileno(files->in), 0, SEEK_SET) != 0)) {
        return errno;
    }
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = redirect(&actions, files->in, STDIN_FILENO);
    error = error == 0 ? redirect(&actions, files->out, STDOUT_FILENO) : error;
    error = error == 0 ? redirect(&actions, files->errors, STDERR_FILENO) : error;
    if (error == 0) {
        error = posix_spawnp(child, arguments[0], &actions, NULL, arguments, environment);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int wait_for(pid_t child, unsigned seconds_max)
{
    int status = 0;
    for (unsigned i = 0; i < seconds_max * TRIES_PER_S; i++) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        if (ended < 0 && errno != EINTR) { /* it is gone, and its number may be somebody else's */
            return -1;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = TRY_NS}, NULL);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return -1;
}

int program_run(char *const *arguments, char *const *environment, const struct program_files *files,
                unsigned seconds_max, int *status)
{
    pid_t child = -1;
    struct sigaction inherited, usual = {.sa_handler = SIG_DFL};
    (void)sigemptyset(&usual.sa_mask);
    /* Who started us may have had it ignored: then nobody is told how a child ended. */
    (void)sigaction(SIGCHLD, &usual, &inherited);
    int error = start(arguments, environment, files, &child);
    *status = error == 0 ? wait_for(child, seconds_max) : -1;
    (void)sigaction(SIGCHLD, &inherited, NULL);
    return error;
}
