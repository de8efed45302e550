/* numapool top: the pools of a running process on the screen, until it ends or its user has seen enough. */
#include "tool/tool.h"

#include "tool/top_draw.h"
#include "tool/watch.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGAIN_NS UINT64_C(1000000000)

/* As far as the keys go; --interval goes further. */
#define INTERVAL_LEAST_S 0.125
#define INTERVAL_MOST_S 64.0

struct arguments {
    char *pid;
    double interval_s;
    bool once;
};

static const struct argp_option options[] = {
    {"interval", 'i', "SECONDS", 0, "Looks again after so long (1)", 0},
    {"once", '1', NULL, 0, "Prints a table and ends, as numapool stat", 0},
    {0}};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'i':
        watch_parse_seconds("--interval", text, &a->interval_s, state);
        return 0;
    case '1':
        a->once = true;
        return 0;
    case ARGP_KEY_ARG:
        watch_parse_pid(&a->pid, text, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct top {
    struct page_process process;
    struct page_sample sample;
    struct pool_view view;
    struct top_screen screen;
    char clock[16];
    char message[96];
    size_t rows_shown;
    uint64_t again_ns; /* next look for pools that are new */
    bool ended;        /* the process has */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void show_pool(struct top *top, size_t page)
{
    pool_view_fini(&top->view);
    page_sample_fini(&top->sample);
    top->screen.head.page = page;
    top->screen.scroll = 0;
}

static bool is_closed(const struct top *top, size_t page)
{
    return page_phase(&top->process.pages[page]) == NUMAPOOL_PAGE_CLOSED;
}

/* Pools made since come in; those that are closed go, but for the one on the screen. */
static void look_again(struct top *top)
{
    uint64_t now = watch_now_ns();
    if (now < top->again_ns) {
        return;
    }
    top->again_ns = now + AGAIN_NS;
    (void)page_process_look_again(&top->process); /* that it has ended is seen elsewhere */
    for (size_t i = top->process.count; i-- > 0;) {
        size_t shown = top->screen.head.page;
        if (i != shown && is_closed(top, i)) {
            page_process_forget(&top->process, i);
            top->screen.head.page = i < shown ? shown - 1 : shown;
        }
    }
}

/* The pool on the screen is closed: another open one takes its place, also one made since. */
static void leave_closed(struct top *top)
{
    if (top->view.phase != NUMAPOOL_PAGE_CLOSED) {
        return;
    }
    (void)snprintf(top->message, sizeof top->message, "pool %s is closed: its last numbers",
                   top->process.pages[top->screen.head.page].header.pool_name);
    for (size_t i = 0; i < top->process.count; i++) {
        if (!is_closed(top, i)) {
            top->message[0] = '\0';
            show_pool(top, i);
            return;
        }
    }
}

/* False: no memory. */
static bool look(struct top *top)
{
    time_t now = time(NULL);
    struct tm local;
    if (top->ended) {
        return true;
    }
    if (localtime_r(&now, &local) == NULL ||
        strftime(top->clock, sizeof top->clock, "%H:%M:%S", &local) == 0) {
        top->clock[0] = '\0';
    }
    top->message[0] = '\0';
    top->ended = !page_process_alive(&top->process);
    if (!top->ended) {
        look_again(top);
        leave_closed(top);
    }
    const struct page *page = &top->process.pages[top->screen.head.page];
    enum page_result result = page_sample_take(&top->sample, page);
    if (result == PAGE_NO_MEMORY ||
        (result == PAGE_OK && !pool_view_update(&top->view, page, &top->sample))) {
        return false;
    }
    if (top->ended) {
        (void)snprintf(top->message, sizeof top->message, "process %d has ended: its last numbers",
                       (int)top->process.pid);
    } else if (result != PAGE_OK) {
        (void)snprintf(top->message, sizeof top->message, "process %d stands still",
                       (int)top->process.pid);
    } else if (top->view.total.stale) {
        (void)snprintf(top->message, sizeof top->message,
                       "not updated for %.0f s: it stands still, or finds no time",
                       top->view.total.age_s);
    }
    return true;
}

static bool draw(struct top *top)
{
    struct top_screen *screen = &top->screen;
    screen->page = &top->process.pages[screen->head.page];
    screen->view = &top->view;
    screen->head.process = &top->process;
    screen->head.pages = top->process.count;
    screen->head.clock = top->clock;
    screen->message = top->message[0] != '\0' ? top->message : NULL;
    return top_draw(screen, &top->rows_shown);
}

/* From wherever --interval has put it, a key leads at least back. */
static void change_interval(struct top_screen *screen, double factor)
{
    double interval_s = screen->head.interval_s * factor;
    if (factor > 1.0 ? interval_s <= INTERVAL_MOST_S : interval_s >= INTERVAL_LEAST_S) {
        screen->head.interval_s = interval_s;
    }
}

/* The next that is not closed. False: there is none. */
static bool show_next_pool(struct top *top)
{
    for (size_t i = 1; i < top->process.count && !top->ended; i++) {
        size_t next = (top->screen.head.page + i) % top->process.count;
        if (!is_closed(top, next)) {
            show_pool(top, next);
            return true;
        }
    }
    return false;
}

static void scroll_by(struct top *top, bool down, size_t rows)
{
    size_t *scroll = &top->screen.scroll; /* top_draw() keeps it within the table */
    *scroll = down ? *scroll + rows : *scroll - (rows < *scroll ? rows : *scroll);
}

/* What a key does. Returns whether to look at once. */
static bool obey(struct top *top, enum top_key key)
{
    struct top_screen *screen = &top->screen;
    if (screen->help && key != TOP_KEY_NONE) {
        screen->help = false;
        return false;
    }
    switch (key) {
    case TOP_KEY_PAUSE:
        screen->paused = !screen->paused;
        return !screen->paused;
    case TOP_KEY_HELP:
        screen->help = true;
        return false;
    case TOP_KEY_SORT_NEXT:
        screen->sort = (enum top_sort)((screen->sort + 1) % TOP_SORTS);
        return false;
    case TOP_KEY_SORT_BEFORE:
        screen->sort = (enum top_sort)((screen->sort + TOP_SORTS - 1) % TOP_SORTS);
        return false;
    case TOP_KEY_REVERSE:
        screen->reverse = !screen->reverse;
        return false;
    case TOP_KEY_SLOWER:
        change_interval(screen, 2.0);
        return false;
    case TOP_KEY_FASTER:
        change_interval(screen, 0.5);
        return false;
    case TOP_KEY_POOL:
        return show_next_pool(top);
    case TOP_KEY_UP:
    case TOP_KEY_DOWN:
        scroll_by(top, key == TOP_KEY_DOWN, 1);
        return false;
    case TOP_KEY_PAGE_UP:
    case TOP_KEY_PAGE_DOWN:
        scroll_by(top, key == TOP_KEY_PAGE_DOWN, top->rows_shown);
        return false;
    case TOP_KEY_FIRST:
        screen->scroll = 0;
        return false;
    case TOP_KEY_LAST:
        screen->scroll = SIZE_MAX / 2;
        return false;
    case TOP_KEY_NONE:
    case TOP_KEY_QUIT:
    case TOP_KEY_OTHER:
        break;
    }
    return false;
}

/* False: no memory. */
static bool watch(struct top *top)
{
    uint64_t looked_ms = now_ms();
    bool again = true;
    for (;;) {
        if (again && !look(top)) {
            return false;
        }
        looked_ms = again ? now_ms() : looked_ms;
        if (!draw(top)) {
            return false;
        }
        uint64_t passed_ms = now_ms() - looked_ms;
        uint64_t interval_ms = (uint64_t)(top->screen.head.interval_s * 1000.0);
        /* The first rates come soon. */
        interval_ms = top->view.total.seconds <= 0.0 && interval_ms > 300 ? 300 : interval_ms;
        bool idle = top->screen.paused || top->ended;
        int wait_ms = idle ? -1 : passed_ms >= interval_ms ? 0 : (int)(interval_ms - passed_ms);
        enum top_key key = top_draw_key(wait_ms);
        if (key == TOP_KEY_QUIT && !top->screen.help) {
            return true;
        }
        again = obey(top, key) || (key == TOP_KEY_NONE && !idle);
    }
}

static int print_once(const struct arguments *arguments)
{
    char name[] = "numapool top";
    char *argv[] = {name, arguments->pid, NULL};
    return tool_stat(arguments->pid != NULL ? 2 : 1, argv);
}

int tool_top(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[PID]",
        .doc =
            "Shows the pools of a process, by default of the only one of this user that has any: "
            "a line per shard, with rates of the last interval. The process is not asked, and "
            "does not notice.\v"
            "The key h explains columns and keys. With the variable NO_COLOR set there are no "
            "colours. Exit statuses are those of numapool stat.",
    };
    struct arguments arguments = {.interval_s = 1.0};
    struct top top = {.rows_shown = 1};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) {
        return TOOL_USAGE;
    }
    if (arguments.once) {
        return print_once(&arguments);
    }
    int status = watch_open(&top.process, arguments.pid);
    if (status != TOOL_OK) {
        return status;
    }
    const char *plain = getenv("NO_COLOR");
    top.screen.head.interval_s = arguments.interval_s;
    if (top_draw_begin(plain == NULL || plain[0] == '\0')) {
        bool finished = watch(&top);
        top_draw_end();
        if (!finished) {
            tool_complain("out of memory");
            status = TOOL_FAILED;
        } else if (top.message[0] != '\0') {
            tool_complain("%s", top.message);
        }
    } else {
        status = TOOL_USAGE;
    }
    pool_view_fini(&top.view);
    page_sample_fini(&top.sample);
    page_process_close(&top.process);
    return status;
}
